//! Target `share_token`: tokens of share links, and grants of links with a password. An input is the token of a
//! link, and from the second line on a grant: a JSON Web Token as it is sent, or its header and its claims, each on a
//! line, which are signed with the server's key.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use ring::hmac;
use serde_json::Value as Json;
use wasteland_tarot::services::shares::{ShareAccess, open};

use crate::server::{LINK, PROTECTED_LINK, PROTECTED_LINK_ID, REVOKED_LINK, SECRET, Server};

/// The target's own server: requests of the target `http` may delete its links.
static SERVER: LazyLock<Server> = LazyLock::new(|| Server::new("share_token"));

/// A grant for the protected link. Its text is in the corpus, so it is issued at a fixed time, for a long time.
static GRANT: LazyLock<String> = LazyLock::new(|| {
    let issued_at = DateTime::from_timestamp(1_767_225_600, 0).expect("a time");
    let grant = SERVER.app.services.tokens.issue_share_grant(PROTECTED_LINK_ID, issued_at);
    grant.expect("a grant").token
});

/// A link opens with the token that the server made for it, and a protected one with a grant that it issued for
/// it.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (token, grant) = match text.split_once('\n') {
        None => (text, None),
        Some((token, grant)) => (token, Some(grant)),
    };
    let jwt = grant.map(|grant| match grant.split_once('\n') {
        None => grant.to_owned(),
        Some((header, claims)) => signed(header, claims),
    });
    match opened(token, jwt.as_deref()) {
        None => assert!(![LINK, PROTECTED_LINK, REVOKED_LINK].contains(&token)),
        Some(ShareAccess::Open(row)) if token == PROTECTED_LINK => {
            assert_eq!(row.share.token, token);
            assert_issued(grant.expect("a protected link needs a grant"));
        }
        Some(ShareAccess::Open(row)) => assert_eq!((token, row.share.token.as_str()), (LINK, LINK)),
        Some(ShareAccess::PasswordRequired) => {
            assert_eq!(token, PROTECTED_LINK);
            assert_ne!(grant, Some(GRANT.as_str()), "the server's own grant is refused");
        }
        Some(ShareAccess::Revoked) => assert_eq!(token, REVOKED_LINK),
        Some(ShareAccess::Expired) => panic!("no link has an expiry"),
    }
    if let Some(jwt) = &jwt {
        let services = &SERVER.app.services;
        let claims = services.tokens.verify_access_token(jwt, services.clock.now());
        assert!(claims.is_err() || is_signed_here(grant), "a foreign access token");
    }
}

fn opened(token: &str, grant: Option<&str>) -> Option<ShareAccess> {
    SERVER.runtime.block_on(async {
        let session = SERVER.app.database.session();
        open(&session, &SERVER.app.services, token, grant).await.expect("the database responds")
    })
}

/// Panics unless the grant is the one that the server issued, byte for byte, or has its claims.
fn assert_issued(grant: &str) {
    let Some((_, claims)) = grant.split_once('\n') else {
        return assert_eq!(grant, *GRANT, "a foreign grant");
    };
    let claims: Json = serde_json::from_str(claims).expect("accepted claims are JSON");
    assert_eq!(claims["iss"], "wasteland-tarot");
    let audience = &claims["aud"];
    let is_ours = |audience: &Json| *audience == "wasteland-tarot-share";
    assert!(is_ours(audience) || audience.as_array().is_some_and(|all| all.iter().any(is_ours)));
    let subject = claims["sub"].as_str().and_then(|id| uuid::Uuid::try_parse(id).ok());
    assert_eq!(subject, Some(PROTECTED_LINK_ID));
    assert!(claims["exp"].is_number(), "a grant without an end");
}

/// True for claims that the target has signed itself.
fn is_signed_here(grant: Option<&str>) -> bool {
    grant.is_some_and(|grant| grant.contains('\n'))
}

/// The compact form of a token, signed with the key of the server.
fn signed(header: &str, claims: &str) -> String {
    let parts = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let message = parts.join(".");
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}
