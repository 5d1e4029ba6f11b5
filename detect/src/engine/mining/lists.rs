//! Names of pools and miners: a short list of our own, and the operator's longer one.
//!
//! Ours is short on purpose: the pools and programs most often met, for who has no list. `mining.indicators_file` adds
//! to it. One entry a line, `#` begins a comment:
//!
//! ```text
//! domain pool.example.com      # and every name below it
//! port 14444
//! process examplerig
//! address 192.0.2.7            # ages quickly: counts little
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::ops::Bound::{Excluded, Unbounded};

/// A file has at most so many entries, and so many bytes a line.
pub const ENTRIES_MAX: usize = 100_000;
const LINE_MAX: usize = 300;

const DOMAINS: [&str; 22] = [
    "2miners.com",
    "antpool.com",
    "c3pool.com",
    "c3pool.org",
    "ethermine.org",
    "f2pool.com",
    "flypool.org",
    "hashvault.pro",
    "herominers.com",
    "hiveon.net",
    "minergate.com",
    "minexmr.com",
    "moneroocean.stream",
    "nanopool.org",
    "nicehash.com",
    "p2pool.io",
    "pool.hashrate.to",
    "supportxmr.com",
    "unmineable.com",
    "viabtc.com",
    "woolypooly.com",
    "xmrpool.eu",
];

/// Ports that pools use and common services do not.
const PORTS: [u16; 9] = [3333, 4444, 5555, 7777, 10128, 10343, 14433, 14444, 45700];

/// Names that only miners have.
const PROCESSES: [&str; 17] = [
    "bfgminer",
    "ccminer",
    "cgminer",
    "cpuminer",
    "ethminer",
    "lolminer",
    "minerd",
    "minergate-cli",
    "nanominer",
    "nbminer",
    "phoenixminer",
    "sgminer",
    "srbminer-multi",
    "teamredminer",
    "xmr-stak",
    "xmrig",
    "xmrigdaemon",
];

/// Names that something else may have too.
const GENERIC_PROCESSES: [&str; 3] = ["claymore", "gminer", "t-rex"];

/// What to look for by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lists {
    domains: BTreeSet<Box<str>>,
    ports: BTreeSet<u16>,
    processes: BTreeSet<Box<str>>,
    addresses: BTreeSet<IpAddr>,
}

/// Why an indicators file is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub said: String,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.said)
    }
}

impl std::error::Error for ListError {}

impl Default for Lists {
    fn default() -> Self {
        Self {
            domains: DOMAINS.into_iter().map(Box::from).collect(),
            ports: PORTS.into_iter().collect(),
            processes: PROCESSES.into_iter().map(Box::from).collect(),
            addresses: BTreeSet::new(),
        }
    }
}

impl Lists {
    /// The shipped list and the entries of an indicators file.
    pub fn with_file(text: &str) -> Result<Self, ListError> {
        let mut lists = Self::default();
        let mut entries = 0;
        for (at, raw) in text.lines().enumerate() {
            let refuse = |said: String| ListError { line: at + 1, said };
            if raw.len() > LINE_MAX {
                return Err(refuse(format!("{} bytes, at most {LINE_MAX}", raw.len())));
            }
            let line = raw.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            entries += 1;
            if entries > ENTRIES_MAX {
                return Err(refuse(format!("more than {ENTRIES_MAX} entries")));
            }
            let mut words = line.split_whitespace();
            let (Some(kind), Some(value), None) = (words.next(), words.next(), words.next()) else {
                return Err(refuse(format!("`{line}` is not a kind and one value")));
            };
            lists.add(kind, value).map_err(refuse)?;
        }
        Ok(lists)
    }

    fn add(&mut self, kind: &str, value: &str) -> Result<(), String> {
        match kind {
            "domain" => {
                let name = normal(value);
                let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                // A single label would match a whole top-level domain.
                if !name.contains('.') || !name.chars().all(known) || name.split('.').any(str::is_empty) {
                    return Err(format!("`{value}` is not a domain name of two labels or more"));
                }
                self.domains.insert(name.into());
            }
            "port" => match value.parse() {
                Ok(port) if !COMMON_PORTS.contains(&port) && port != 0 => {
                    self.ports.insert(port);
                }
                Ok(port) => return Err(format!("port {port} is used by too much else")),
                Err(_) => return Err(format!("`{value}` is not a port")),
            },
            "process" => {
                if value.contains('/') {
                    return Err(format!("`{value}` is a path; give the program's name"));
                }
                self.processes.insert(value.to_lowercase().into());
            }
            "address" => {
                let address = value.parse::<IpAddr>().map_err(|_| format!("`{value}` is not an address"))?;
                self.addresses.insert(address.to_canonical());
            }
            _ => return Err(format!("`{kind}` is none of domain, port, process, address")),
        }
        Ok(())
    }

    /// The listed domain that `name` is or lies below.
    ///
    /// Whole labels only: `notminexmr.com` is not below `minexmr.com`.
    pub(crate) fn pool<'l>(&'l self, name: &str) -> Option<&'l str> {
        let name = normal(name);
        let mut rest: &str = &name;
        loop {
            if let Some(found) = self.domains.get(rest) {
                return Some(found);
            }
            rest = rest.split_once('.')?.1;
        }
    }

    pub(crate) fn is_pool_port(&self, port: u16) -> bool {
        self.ports.contains(&port)
    }

    pub(crate) fn is_pool_address(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address.to_canonical())
    }

    /// Whether this program is a miner by name: `Some(true)` where nothing else is called so. The kernel cuts names to
    /// 15 bytes.
    pub(crate) fn miner(&self, name: &str) -> Option<bool> {
        let name = name.strip_suffix(".exe").unwrap_or(name).to_lowercase();
        // What is listed behind a name that was cut begins with it, and is the next in order.
        let next = || self.processes.range::<str, _>((Excluded(&*name), Unbounded)).next();
        let cut = || name.len() == 15 && next().is_some_and(|listed| listed.starts_with(&*name));
        if self.processes.contains(&*name) || cut() {
            return Some(true);
        }
        GENERIC_PROCESSES.contains(&&*name).then_some(false)
    }
}

/// Ports on which a list would find everybody.
const COMMON_PORTS: [u16; 10] = [22, 25, 53, 80, 443, 3306, 5432, 6379, 8080, 9092];

/// Lower case, without the dot of the root.
fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_match_on_whole_labels() {
        let lists = Lists::default();
        for name in ["minexmr.com", "Pool.MINEXMR.com.", "a.b.c3pool.org"] {
            assert!(lists.pool(name).is_some(), "{name}");
        }
        for name in ["notminexmr.com", "minexmr.com.evil.example", "com", "", ".", "mooo.com"] {
            assert!(lists.pool(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_file_adds_to_the_list() {
        let lists = Lists::with_file(
            "# ours\ndomain Pool.Example.COM.\nport 19999 # odd\n\nprocess ExampleRigWithALongName\naddress ::ffff:192.0.2.7\n",
        )
        .unwrap();
        assert_eq!(lists.pool("eu.pool.example.com"), Some("pool.example.com"));
        assert!(lists.pool("xmrpool.eu").is_some(), "the shipped ones stay");
        assert!(lists.is_pool_port(19999) && lists.is_pool_address("192.0.2.7".parse().unwrap()));
        assert_eq!(lists.miner("examplerigwitha"), Some(true), "cut at 15 bytes as the kernel does");
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line, part) in [
            ("domain a.example\n\nhost x", 3, "none of"),
            ("domain com", 1, "two labels"),
            ("domain a..b", 1, "two labels"),
            ("# x\nport 443", 2, "too much else"),
            ("port 99999", 1, "not a port"),
            ("process /bin/x", 1, "path"),
            ("address 1.2.3", 1, "not an address"),
            ("domain a.example b.example", 1, "one value"),
        ] {
            let error = Lists::with_file(text).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
        let long = format!("domain {}.example", "a".repeat(400));
        assert!(Lists::with_file(&long).unwrap_err().said.contains("at most"));
    }
}
