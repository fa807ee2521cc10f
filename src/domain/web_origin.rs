//! Origins of web pages and servers: scheme, host and port.

use std::net::IpAddr;

use http::Uri;

/// Origin in its canonical form: the host in lower case, the port always present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebOrigin {
    is_secure: bool,
    host: String,
    port: u16,
}

impl WebOrigin {
    /// Origin of a URL with `http` or `https`; `None` of any other text.
    #[must_use]
    pub fn of_url(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let is_secure = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let host = uri.host()?.trim_matches(['[', ']']).to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        Some(Self { is_secure, host, port })
    }

    /// Origin in an `Origin` header, which has no path; `None` of any other text, `null` included.
    #[must_use]
    pub fn of_header(text: &str) -> Option<Self> {
        let (_, authority) = text.split_once("://")?;
        if authority.contains(['/', '@']) { None } else { Self::of_url(text) }
    }

    /// `true` for `https`.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Host in lower case, of an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port, also where the URL leaves it out.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `true` for loopback names: `localhost`, `*.localhost`, 127.0.0.0/8 and `::1`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback_host(&self.host)
    }

    /// `true` for the address of a server that listens on all interfaces, loopback included.
    #[must_use]
    pub fn is_unspecified(&self) -> bool {
        self.ip().is_some_and(|address| address.is_unspecified())
    }

    /// `false` if the origins certainly belong to two sites. Names with the same last two labels may still be two
    /// sites, by the public suffix list.
    #[must_use]
    pub fn may_be_same_site(&self, other: &Self) -> bool {
        self.is_secure == other.is_secure
            && (self.host == other.host
                || self.last_labels().is_some_and(|labels| Some(labels) == other.last_labels()))
    }

    /// The last two labels of a name; `None` of an address and of a single label.
    fn last_labels(&self) -> Option<&str> {
        if self.ip().is_some() {
            return None;
        }
        let (before, _) = self.host.rsplit_once('.')?;
        Some(before.rfind('.').map_or(&*self.host, |dot| &self.host[dot + 1..]))
    }

    fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// `true` for a host in lower case, without brackets, that names the same machine.
#[must_use]
pub fn is_loopback_host(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host == "localhost"
        || host.ends_with(".localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> WebOrigin {
        WebOrigin::of_url(url).unwrap()
    }

    #[test]
    fn an_origin_is_a_url_without_its_path_in_one_spelling() {
        assert_eq!(origin("https://Tarot.example:443/base"), origin("https://tarot.example"));
        assert_eq!(origin("http://127.0.0.1:80/"), origin("http://127.0.0.1"));
        for other in
            ["http://tarot.example", "https://tarot.example:8443", "https://a.tarot.example"]
        {
            assert_ne!(origin(other), origin("https://tarot.example"));
        }
        for text in ["", "null", "tarot.example", "ftp://tarot.example", "https://", "file:///a"] {
            assert_eq!(WebOrigin::of_url(text), None, "{text}");
        }
        assert_eq!(WebOrigin::of_header("https://[::1]:8"), Some(origin("https://[::1]:8/base")));
        for text in ["https://tarot.example/", "https://a@tarot.example", "null", ""] {
            assert_eq!(WebOrigin::of_header(text), None, "{text}");
        }
    }

    #[test]
    fn loopback_names_are_those_of_the_same_machine() {
        for host in ["localhost", "LOCALHOST", "app.localhost", "127.0.0.1", "127.8.9.10", "[::1]"]
        {
            assert!(origin(&format!("http://{host}:5173")).is_loopback(), "{host}");
        }
        for host in [
            "localhost.example",
            "notlocalhost",
            "128.0.0.1",
            "[::2]",
            "0.0.0.0",
            "127.0.0.1.nip.io",
        ] {
            assert!(!origin(&format!("http://{host}:5173")).is_loopback(), "{host}");
        }
    }

    #[test]
    fn names_without_a_common_domain_are_two_sites() {
        let is_one = |one: &str, other: &str| origin(one).may_be_same_site(&origin(other));
        for (one, other) in [
            ("http://localhost:5173", "http://localhost:8000"),
            ("https://app.tarot.example", "https://api.tarot.example"),
            ("https://tarot.example", "https://api.tarot.example:8443"),
            ("http://192.168.0.2:1", "http://192.168.0.2:2"),
        ] {
            assert!(is_one(one, other) && is_one(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("http://localhost:5173", "http://127.0.0.1:8000"),
            ("http://localhost", "http://app.localhost"),
            ("http://192.168.0.2", "http://10.1.0.2"),
            ("https://tarot.example", "https://other.example"),
            ("http://app.tarot.example", "https://app.tarot.example"),
            ("https://example", "https://tarot.example"),
        ] {
            assert!(!is_one(one, other) && !is_one(other, one), "{one} {other}");
        }
    }
}
