//! Whether these knobs are safe to listen with. An open console is refused, not warned of.

use std::net::IpAddr;

use axum::http::Uri;

use crate::HttpKnobs;

/// Refuses what must not run: an address or name beyond loopback without a login, and what could never work (a
/// broken URL, two tokens of one name, a password that is no bcrypt hash). The text is for the operator.
pub fn check_exposure(knobs: &HttpKnobs) -> Result<(), String> {
    let (host, _) = split_listen(&knobs.listen)?;
    let url = external(knobs)?;
    let url_host = url.host().unwrap_or_default();
    let metrics = match &knobs.metrics_listen {
        Some(listen) => {
            let split = split_listen(listen);
            Some(split.map_err(|said| said.replace("http.listen", "http.metrics_listen"))?.0)
        }
        None => None,
    };
    if !knobs.asks_login() {
        let open = "without `http.tokens` or `http.basic_auth_users` anybody who reaches it could act";
        if !is_loopback(host) {
            return Err(format!("`http.listen` ({}) is not a loopback address, and {open}", knobs.listen));
        }
        if metrics.is_some_and(|host| !is_loopback(host)) {
            let listen = knobs.metrics_listen.as_deref().unwrap_or_default();
            return Err(format!(
                "`http.metrics_listen` ({listen}) is not a loopback address, and without `http.tokens` or \
                 `http.basic_auth_users` anybody who reaches it could read"
            ));
        }
        if !is_loopback(url_host) {
            return Err(format!("`http.external_url` ({}) is not loopback, and {open}", knobs.external_url));
        }
    }
    for (at, token) in knobs.tokens.iter().enumerate() {
        if token.name.is_empty() || token.name.contains(':') {
            return Err(format!("`http.tokens`: the name {:?} is empty or holds a colon", token.name));
        }
        if knobs.tokens[..at].iter().any(|other| other.name == token.name)
            || knobs.basic_auth_users.contains_key(&token.name)
        {
            return Err(format!("`http.tokens`: the name {:?} is taken", token.name));
        }
        if token.secret.expose().len() < 16 {
            return Err(format!("`http.tokens`: the secret of {:?} has less than 16 characters", token.name));
        }
    }
    for (user, hash) in &knobs.basic_auth_users {
        if user.is_empty() || user.contains(':') {
            return Err(format!("`http.basic_auth_users`: the name {user:?} is empty or holds a colon"));
        }
        if hash.expose().parse::<bcrypt::HashParts>().is_err() {
            return Err(format!(
                "`http.basic_auth_users`: {user:?} has no bcrypt hash (try `htpasswd -nBC 10 {user}`)"
            ));
        }
    }
    Ok(())
}

/// `external_url`, read.
pub(crate) fn external(knobs: &HttpKnobs) -> Result<Uri, String> {
    let refuse = |said: &str| format!("`http.external_url` ({}) {said}", knobs.external_url);
    let url: Uri = knobs.external_url.parse().map_err(|_| refuse("is not a URL"))?;
    if !matches!(url.scheme_str(), Some("http" | "https")) || url.host().is_none_or(str::is_empty) {
        return Err(refuse("must be http://HOST or https://HOST"));
    }
    if url.path() != "/" || url.query().is_some() {
        return Err(refuse("has a path or query: not in this version"));
    }
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(refuse("must not hold a user name or password"));
    }
    Ok(url)
}

/// Host and port of a listen address; an empty host means all addresses.
pub(crate) fn split_listen(listen: &str) -> Result<(&str, u16), String> {
    let refuse = || format!("`http.listen` ({listen}) is not ADDRESS:PORT");
    let (host, port) = listen.rsplit_once(':').ok_or_else(refuse)?;
    let port = port.parse().map_err(|_| refuse())?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Ok((host, port))
}

/// Whether this host is this machine only: `localhost`, 127.0.0.0/8 or ::1.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use beaconfire_model::Secret;

    use super::*;
    use crate::{Role, Token};

    fn check(listen: &str, external_url: &str, login: bool) -> Result<(), String> {
        let tokens = if login {
            vec![Token { name: "ops".into(), role: Role::Viewer, secret: Secret::new("0123456789abcdef") }]
        } else {
            Vec::new()
        };
        let knobs = HttpKnobs {
            listen: listen.into(),
            external_url: external_url.into(),
            tokens,
            ..HttpKnobs::default()
        };
        check_exposure(&knobs)
    }

    #[test]
    fn without_a_login_only_loopback_may_listen() {
        for (listen, url, open, with_login) in [
            ("127.0.0.1:8480", "http://127.0.0.1:8480", true, true),
            ("127.9.0.1:0", "http://localhost", true, true),
            ("[::1]:8480", "http://[::1]:8480", true, true),
            ("localhost:8480", "http://localhost:8480/", true, true),
            ("0.0.0.0:8480", "http://127.0.0.1:8480", false, true),
            ("[::]:8480", "http://127.0.0.1:8480", false, true),
            (":8480", "http://127.0.0.1:8480", false, true),
            ("192.0.2.1:8480", "http://127.0.0.1:8480", false, true),
            ("127.0.0.1:8480", "https://bf.example.com", false, true),
            ("localhost.example.com:1", "http://localhost", false, true),
            ("127.0.0.1", "http://localhost", false, false),
            ("127.0.0.1:99999", "http://localhost", false, false),
            ("127.0.0.1:1", "ftp://localhost", false, false),
            ("127.0.0.1:1", "http://localhost/console", false, false),
            ("127.0.0.1:1", "http://u:p@localhost", false, false),
        ] {
            assert_eq!(check(listen, url, false).is_ok(), open, "{listen} {url} open");
            assert_eq!(check(listen, url, true).is_ok(), with_login, "{listen} {url} with a login");
        }
    }

    #[test]
    fn the_listener_for_metrics_is_no_way_round_the_login() {
        let token = Token { name: "ops".into(), role: Role::Viewer, secret: Secret::new("0123456789abcdef") };
        for (listen, open, with_login) in [
            ("127.0.0.1:9100", true, true),
            ("0.0.0.0:9100", false, true),
            (":9100", false, true),
            ("127.0.0.1", false, false),
        ] {
            let open_to_all = HttpKnobs { metrics_listen: Some(listen.into()), ..HttpKnobs::default() };
            let guarded = HttpKnobs { tokens: vec![token.clone()], ..open_to_all.clone() };
            let said = check_exposure(&open_to_all);
            assert_eq!(said.is_ok(), open, "{listen} open");
            assert!(said.err().is_none_or(|said| said.starts_with("`http.metrics_listen`")), "{listen}");
            assert_eq!(check_exposure(&guarded).is_ok(), with_login, "{listen} with a login");
        }
    }

    #[test]
    fn logins_that_could_never_work_are_refused() {
        let token = |name: &str, secret: &str| Token {
            name: name.into(),
            role: Role::Viewer,
            secret: Secret::new(secret),
        };
        let tokens = |tokens: Vec<Token>| HttpKnobs { tokens, ..HttpKnobs::default() };
        let long = "0123456789abcdef";
        for (knobs, said) in [
            (tokens(vec![token("a", "short")]), "less than 16"),
            (tokens(vec![token("a", long), token("a", long)]), "taken"),
            (tokens(vec![token("a:b", long)]), "colon"),
            (
                HttpKnobs {
                    basic_auth_users: [("eve".to_owned(), Secret::new("plain"))].into(),
                    ..HttpKnobs::default()
                },
                "bcrypt",
            ),
        ] {
            let refusal = check_exposure(&knobs).unwrap_err();
            assert!(refusal.contains(said), "{refusal}");
            assert!(!refusal.contains("plain"), "a secret in {refusal}");
        }
    }
}
