//! Target `cursor`: cursors of all lists. An input is a cursor, or the text in one: `1|User.readings:…|key`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wasteland_tarot::db::audit_log::AuditKey;
use wasteland_tarot::db::readings::ReadingKey;
use wasteland_tarot::db::users::UserKey;
use wasteland_tarot::domain::card_list::CardKey;
use wasteland_tarot::domain::spread_list::SpreadKey;
use wasteland_tarot::graphql::pagination::{CursorKey, read_cursor, write_cursor};
use wasteland_tarot::graphql::tag::TagKey;

/// A cursor that is accepted is one that the server writes for the key in it.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    check(text);
    check(&URL_SAFE_NO_PAD.encode(text));
}

fn check(cursor: &str) {
    let decoded = URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
    let decoded = String::from_utf8(decoded).unwrap_or_default();
    let list = decoded.split('|').nth(1).unwrap_or_default();
    check_key::<AuditKey>(list, cursor);
    check_key::<CardKey>(list, cursor);
    check_key::<ReadingKey>(list, cursor);
    check_key::<SpreadKey>(list, cursor);
    check_key::<TagKey>(list, cursor);
    check_key::<UserKey>(list, cursor);
}

fn check_key<K: CursorKey>(list: &str, cursor: &str) {
    if let Some(key) = read_cursor::<K>(list, cursor) {
        assert_eq!(write_cursor(list, &key), cursor, "another cursor of the same key");
        let another = format!("{list}:ASC");
        assert!(read_cursor::<K>(&another, cursor).is_none(), "a cursor of two lists");
    }
}
