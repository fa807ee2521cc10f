//! Address of a client: that of its connection, or the one that trusted proxies report in `X-Forwarded-For` or
//! `Forwarded` (RFC 7239).
//!
//! Invariant: an address that the client may have forged is never used. Elements are read from the last one, which
//! the nearest proxy has added, and only as long as a trusted proxy has added them.
//!
//! The crate `rfc7239` is not used: it splits at commas within quoted strings, so that a client could hide the
//! elements that its proxy adds in such a string.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Once;

use axum::http::{Extensions, HeaderMap, HeaderName, header};
use ipnet::IpNet;

use crate::config::limits::MESSAGE_CHARACTERS;
use crate::config::rate_limits::{ProxyHeader, RateLimitSettings};

/// Address at the other end of a connection: the client or a proxy. An extension of each request.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

/// Client address: the key of rate limits and quotas. An extension of each request of `LISTEN`, added by the fast path.
#[derive(Debug, Clone, Copy)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The extension of a request.
    pub(super) fn of(extensions: &Extensions) -> IpAddr {
        extensions.get().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Self(address)| *address)
    }
}

/// Finds the addresses of clients behind trusted proxies.
pub struct ClientAddresses {
    trusted: Vec<IpNet>,
    headers: Vec<ProxyHeader>,
    unreadable: Once,
    ambiguous: Once,
}

impl ClientAddresses {
    /// Uses the settings of trusted proxies.
    #[must_use]
    pub fn new(settings: &RateLimitSettings) -> Self {
        Self {
            trusted: settings.trusted_proxies.clone(),
            headers: settings.trusted_proxy_headers.clone(),
            unreadable: Once::new(),
            ambiguous: Once::new(),
        }
    }

    /// Address of the client of a request.
    #[must_use]
    pub fn find(&self, extensions: &Extensions, headers: &HeaderMap) -> IpAddr {
        let peer = extensions.get::<PeerAddress>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        self.reported(peer, headers)
    }

    fn reported(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.is_trusted(peer) {
            return peer;
        }
        let present =
            self.headers.iter().filter(|header| headers.contains_key(header_name(**header)));
        let mut addresses = present.map(|header| self.resolve(peer, *header, headers));
        let Some(address) = addresses.next() else { return peer };
        if addresses.any(|other| other != address) {
            // The proxy sets one of them, and the client may have forged the other.
            self.ambiguous.call_once(|| {
                tracing::warn!(
                    proxy = %peer,
                    "x-forwarded-for and forwarded report different clients; such requests count as the \
                     proxy's until TRUSTED_PROXY_HEADERS names the header that the proxy writes"
                );
            });
            return peer;
        }
        address
    }

    /// True for a trusted proxy.
    pub(super) fn is_trusted(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// Resolves the client by one header, from the connection back over the trusted proxies. At an element that is
    /// not an address, the proxy that added it counts as the client.
    fn resolve(&self, peer: IpAddr, header: ProxyHeader, headers: &HeaderMap) -> IpAddr {
        let lines: Vec<Cow<'_, str>> = headers
            .get_all(header_name(header))
            .iter()
            .map(|line| String::from_utf8_lossy(line.as_bytes()))
            .collect();
        let elements: Vec<&str> = lines
            .iter()
            .flat_map(|line| split(line, ',', header))
            .map(str::trim)
            // Recipients ignore empty elements of a list (RFC 9110, section 5.6.1.2).
            .filter(|element| !element.is_empty())
            .collect();
        let mut address = peer;
        for element in elements.into_iter().rev() {
            if !self.is_trusted(address) {
                break;
            }
            let reported = match header {
                ProxyHeader::XForwardedFor => node_address(element),
                ProxyHeader::Forwarded => forwarded_for(element),
            };
            let Some(reported) = reported else {
                self.warn_unreadable(header, element, address);
                break;
            };
            address = reported.to_canonical();
        }
        address
    }

    /// Logs the first element that is not an address. Only the first one: any client can send more.
    fn warn_unreadable(&self, header: ProxyHeader, element: &str, proxy: IpAddr) {
        self.unreadable.call_once(|| {
            let element: String = element.chars().take(MESSAGE_CHARACTERS).collect();
            tracing::warn!(
                header = header_name(header).as_str(),
                ?element,
                %proxy,
                "a trusted proxy reported no client address; such requests count as the proxy's"
            );
        });
    }
}

const fn header_name(header: ProxyHeader) -> HeaderName {
    match header {
        ProxyHeader::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
        ProxyHeader::Forwarded => header::FORWARDED,
    }
}

/// Elements of a list. The quoted strings of `Forwarded` may contain the separator.
fn split(text: &str, separator: char, header: ProxyHeader) -> Vec<&str> {
    let has_quotes = header == ProxyHeader::Forwarded;
    let (mut is_quoted, mut is_escaped) = (false, false);
    let is_separator = |character| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match character {
            '\\' if is_quoted && !was_escaped => is_escaped = true,
            '"' if has_quotes && !was_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        character == separator && !is_quoted
    };
    text.split(is_separator).collect()
}

/// Address of the parameter `for` in an element of `Forwarded` (RFC 7239, section 4); `None` without one, or if
/// the element is malformed anywhere.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut address = None;
    let pairs = split(element, ';', ProxyHeader::Forwarded);
    for pair in pairs.into_iter().map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let value = unquoted(value)?;
        let is_for = name.eq_ignore_ascii_case("for");
        if is_for && address.replace(node_address(&value)?).is_some() {
            return None;
        }
    }
    address
}

/// Value of a parameter: a quoted string, or a token with the characters of an address.
fn unquoted(value: &str) -> Option<Cow<'_, str>> {
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:[]".contains(&byte);
    let Some(quoted) = value.strip_prefix('"') else {
        return value.bytes().all(is_allowed).then_some(Cow::Borrowed(value));
    };
    let (mut text, mut rest) = (String::new(), quoted.chars());
    loop {
        match rest.next()? {
            '"' => return rest.as_str().is_empty().then_some(Cow::Owned(text)),
            '\\' => text.push(rest.next()?),
            character => text.push(character),
        }
    }
}

/// Address of a node: IPv4, or IPv6 with or without brackets, each with or without a port (RFC 7239, section 6).
/// `unknown` and obfuscated identifiers are no addresses.
fn node_address(node: &str) -> Option<IpAddr> {
    if let Some((address, port)) = node.strip_prefix('[').and_then(|node| node.split_once(']')) {
        let is_whole = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return address.parse::<Ipv6Addr>().ok().filter(|_| is_whole).map(IpAddr::V6);
    }
    if let Ok(address) = node.parse() {
        return Some(address);
    }
    let (address, port) = node.split_once(':')?;
    address.parse::<Ipv4Addr>().ok().filter(|_| is_port(port)).map(IpAddr::V4)
}

/// A port, or an obfuscated one: `_` and a name.
fn is_port(port: &str) -> bool {
    match port.strip_prefix('_') {
        Some(name) => {
            let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !name.is_empty() && name.bytes().all(is_allowed)
        }
        None => port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok(),
    }
}
