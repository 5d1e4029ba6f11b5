//! What a workload was seen doing, and which evidence of mining that is.

use std::net::{IpAddr, SocketAddr};

use super::class::{Class, Indicator};
use super::command::{self, base};
use super::lists::Lists;

/// Something a sensor saw a workload do. Text that the sensor does not have is empty; all of it may be hostile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Deed<'a> {
    /// A program was started.
    Exec {
        /// Its name.
        process: &'a str,
        /// Where it lies.
        path: &'a str,
        /// Its command line.
        cmdline: &'a str,
        /// Names of its environment variables, separated by spaces.
        environment: &'a str,
        /// The image did not bring it.
        dropped: bool,
    },
    /// A connection was opened, or tried: miners connect without waiting, so "in progress" counts.
    Connect {
        /// By whom.
        process: &'a str,
        /// `address:port`.
        remote: &'a str,
        /// The name behind it, where the sensor knows it.
        domain: &'a str,
    },
    /// A name was looked up.
    Lookup {
        /// By whom.
        process: &'a str,
        /// The name.
        name: &'a str,
        /// What was answered, where the sensor shows it.
        answers: &'a [IpAddr],
    },
    /// A file was opened.
    File {
        /// By whom.
        process: &'a str,
        /// Which.
        path: &'a str,
        /// For writing.
        written: bool,
    },
    /// A sensor's own rule fired.
    Finding {
        /// The rule, its id, or GuardDuty's type.
        rule: &'a str,
        /// The process it speaks of.
        process: &'a str,
        /// Its command line.
        cmdline: &'a str,
        /// The name it speaks of.
        domain: &'a str,
    },
    /// One outbound connection so far.
    Flow {
        /// `address:port`.
        remote: &'a str,
        /// How long it has been open.
        minutes: u32,
        /// Mean bytes a second, both ways together.
        bytes_per_second: f64,
        /// The workload has not spoken to that address before.
        first_seen: bool,
    },
    /// A user agent in a request.
    Agent {
        /// The header.
        user_agent: &'a str,
        /// Sent by the workload, not to it.
        outbound: bool,
    },
    /// An image was started.
    Deploy {
        /// Its name.
        image: &'a str,
    },
}

/// The user agent of a dropper that looks for ways in: an attempt, no more.
pub(crate) const DROPPER: &str = "libredtail-http";

/// Who looks names up for others, or because its own rules name pools (a rule on `fd.sip.name` makes Falco resolve every
/// pool it lists): their lookups say nothing of the workload.
const RESOLVERS: [&str; 9] = [
    "coredns",
    "dnsmasq",
    "falco",
    "kube-dns",
    "named",
    "node-cache",
    "pihole-ftl",
    "systemd-resolve",
    "unbound",
];

/// Who sets huge pages and registers by profession.
const TUNERS: [&str; 9] =
    ["cpupower", "dpdk-hugepages", "kubelet", "mysqld", "oracle", "postgres", "qemu", "systemd", "tuned"];

/// Who installs units and schedules by profession.
const INSTALLERS: [&str; 11] =
    ["ansible", "apk", "apt", "apt-get", "chef-client", "dnf", "dpkg", "puppet", "rpm", "systemd", "yum"];

/// Who runs what the image did not bring by profession.
const UNPACKERS: [&str; 5] = ["apt-key", "containerd-shim", "crun", "npx", "runc"];

const VARIABLES: [&str; 4] = ["DONATE_LEVEL", "POOL_PASS", "POOL_URL", "POOL_USER"];

const UNITS: [&str; 3] = ["c3pool_miner", "moneroocean_miner", "pnsd"];

/// What is known of the workload already, for pairing a connection with the lookup before it.
pub(crate) trait Answers {
    /// The pool whose lookup this address answered.
    fn pool_at(&self, address: IpAddr) -> bool;
}

/// Adds the evidence in one deed.
pub(crate) fn read(deed: &Deed<'_>, lists: &Lists, answers: &impl Answers, found: &mut Vec<Indicator>) {
    match *deed {
        Deed::Exec { process, path, cmdline, environment, dropped } => {
            exec(process, path, dropped, lists, found);
            command::read(cmdline, lists, found);
            variables(environment, found);
        }
        Deed::Connect { process, remote, domain } => {
            connect(process, remote, domain, lists, answers, found);
        }
        Deed::Lookup { process, name, .. } => lookup(process, name, lists, found),
        Deed::File { process, path, written } => {
            if written {
                file(process, path, found);
            }
        }
        Deed::Finding { rule, process, cmdline, domain } => {
            finding(rule, process, cmdline, domain, lists, found);
        }
        Deed::Flow { remote, minutes, bytes_per_second, first_seen } => {
            let public = remote.parse().is_ok_and(|at: SocketAddr| is_public(at.ip()));
            if public && first_seen && minutes >= 30 && bytes_per_second < 2048.0 {
                found.push(Indicator::new(
                    Class::QuietFlow,
                    3.0,
                    "a long and nearly silent connection",
                    remote,
                ));
            }
        }
        Deed::Agent { user_agent, outbound } => agent(user_agent, outbound, found),
        Deed::Deploy { image } => {
            // Each part without what follows it: a registry's port, a tag, a digest.
            let mut parts = image.split('/').map(|part| part.split(['@', ':']).next().unwrap_or(part));
            if parts.any(|part| lists.miner(part) == Some(true)) {
                found.push(Indicator::new(Class::MinerImage, 4.0, "a miner's image", image));
            }
        }
    }
}

fn exec(process: &str, path: &str, dropped: bool, lists: &Lists, found: &mut Vec<Indicator>) {
    // The process name is the kernel's, the path the file's: a miner renamed in one may still show in the other.
    let named = [process, base(path)].into_iter().find_map(|name| Some((name, lists.miner(name)?)));
    match named {
        Some((name, true)) => found.push(Indicator::new(Class::MinerName, 8.0, "runs a miner", name)),
        Some((name, false)) => {
            found.push(Indicator::new(Class::MinerName, 4.0, "a name miners have too", name));
        }
        None => {}
    }
    let passing = ["/tmp/", "/var/tmp/", "/dev/shm/", "/memfd:", "memfd:"];
    let elsewhere = passing.iter().any(|prefix| path.starts_with(prefix));
    if (dropped || elsewhere) && !UNPACKERS.contains(&base(process)) && !path.contains("memfd:runc") {
        let seen = if path.is_empty() { process } else { path };
        found.push(Indicator::new(Class::DroppedProgram, 4.0, "runs what the image did not bring", seen));
    }
}

fn variables(environment: &str, found: &mut Vec<Indicator>) {
    let mut names: Vec<&str> = environment
        .split_whitespace()
        .map(|word| word.split('=').next().unwrap_or(word))
        .filter(|name| VARIABLES.contains(name))
        .collect();
    names.sort_unstable();
    names.dedup();
    match names[..] {
        [] => {}
        [one] => found.push(Indicator::new(Class::MinerEnvironment, 4.0, "a variable of miners", one)),
        _ => {
            let all = names.join(" ");
            found.push(Indicator::new(Class::MinerEnvironment, 7.0, "variables of miners", &all));
        }
    }
}

fn connect(
    process: &str,
    remote: &str,
    domain: &str,
    lists: &Lists,
    answers: &impl Answers,
    found: &mut Vec<Indicator>,
) {
    let Ok(at) = remote.parse::<SocketAddr>() else {
        return;
    };
    if !is_public(at.ip()) || RESOLVERS.contains(&base(process)) {
        return;
    }
    let web = matches!(at.port(), 53 | 80 | 443);
    if let Some(pool) = lists.pool(domain).filter(|_| !web) {
        found.push(Indicator::new(Class::PoolConnect, 8.0, "connects to a pool", pool));
    } else if answers.pool_at(at.ip()) {
        // A pool behind a shared front answers with addresses of many: on the web's ports the lookup must do.
        let weight = if web { 2.0 } else { 8.0 };
        found.push(Indicator::new(Class::PoolConnect, weight, "connects to where it found a pool", remote));
    } else if lists.is_pool_address(at.ip()) {
        found.push(Indicator::new(Class::PoolConnect, 2.0, "connects to a listed address", remote));
    }
    if lists.is_pool_port(at.port()) {
        found.push(Indicator::new(Class::PoolPort, 1.0, "connects to a port of pools", remote));
    }
}

fn lookup(process: &str, name: &str, lists: &Lists, found: &mut Vec<Indicator>) {
    if RESOLVERS.contains(&base(process)) {
        return;
    }
    if lists.pool(name).is_some() {
        found.push(Indicator::new(Class::PoolLookup, 6.0, "looks up a pool", name));
    }
}

fn file(process: &str, path: &str, found: &mut Vec<Indicator>) {
    let process = base(process);
    if path == "/sys/module/msr/parameters/allow_writes"
        || path.starts_with("/dev/cpu/") && path.ends_with("/msr")
    {
        if !TUNERS.contains(&process) {
            found.push(Indicator::new(Class::HostTuning, 7.0, "writes processor registers", path));
        }
        return;
    }
    let tuned = path.ends_with("/nr_hugepages") || path.ends_with("/scaling_governor");
    if tuned && !TUNERS.contains(&process) {
        found.push(Indicator::new(Class::HostTuning, 4.0, "tunes the host", path));
        return;
    }
    let lasting =
        ["/etc/cron", "/var/spool/cron", "/etc/systemd/system/", "/etc/rc.local", "/etc/ld.so.preload"];
    let unit = UNITS.iter().any(|unit| base(path).starts_with(unit));
    if unit || (lasting.iter().any(|prefix| path.starts_with(prefix)) && !INSTALLERS.contains(&process)) {
        found.push(Indicator::new(Class::Persistence, 3.0, "makes itself stay", path));
    }
}

fn finding(
    rule: &str,
    process: &str,
    cmdline: &str,
    domain: &str,
    lists: &Lists,
    found: &mut Vec<Indicator>,
) {
    // What the rule saw counts for itself: so the sensor's own test (an `echo`) stays as quiet as it is.
    command::read(cmdline, lists, found);
    if !domain.is_empty() {
        lookup(process, domain, lists, found);
    }
    let vendor = rule.starts_with("CryptoCurrency:")
        || rule.starts_with("Impact:Runtime/CryptoMinerExecuted")
        || rule.starts_with("Execution: Cryptocurrency Mining");
    if vendor && !RESOLVERS.contains(&base(process)) {
        found.push(Indicator::new(Class::VendorFinding, 10.0, "a vendor's finding", rule));
    }
    let dropped = [
        "Drop and execute new binary in container",
        "Execution from /dev/shm",
        "Fileless execution via memfd_create",
        "TRC-1022",
        "TRC-105",
        "Execution:Runtime/NewBinaryExecuted",
    ];
    if dropped.contains(&rule) && !UNPACKERS.contains(&base(process)) {
        found.push(Indicator::new(Class::DroppedProgram, 4.0, "a sensor's finding", rule));
    }
    if ["TRC-1027", "TRC-1026", "TRC-107", "Schedule Cron Jobs"].contains(&rule) {
        found.push(Indicator::new(Class::Persistence, 3.0, "a sensor's finding", rule));
    }
}

fn agent(user_agent: &str, outbound: bool, found: &mut Vec<Indicator>) {
    let miner = user_agent.starts_with("XMRig ")
        || user_agent.starts_with("XMRig/")
        || user_agent.starts_with("ccminer");
    if outbound && miner {
        found.push(Indicator::new(Class::MinerAgent, 8.0, "a miner's user agent", user_agent));
    } else if !outbound && user_agent == DROPPER {
        found.push(Indicator::new(Class::MinerAgent, 1.0, "a dropper tried", user_agent));
    }
}

fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || shared)
        }
        IpAddr::V6(v6) => {
            let local = v6.segments()[0] & 0xfe00 == 0xfc00 || v6.segments()[0] & 0xffc0 == 0xfe80;
            !(local || v6.is_loopback() || v6.is_unspecified())
        }
    }
}

#[cfg(test)]
#[path = "deed_tests.rs"]
mod tests;

/// Whether a deed can matter to an engine that knows nothing yet: by itself, or as a connection that may go to what a
/// pool's lookup was answered with.
pub(crate) fn tells(deed: &Deed<'_>, lists: &Lists) -> bool {
    if let Deed::Connect { remote, .. } = deed
        && remote.parse().is_ok_and(|at: SocketAddr| is_public(at.ip()))
    {
        return true;
    }
    let mut found = Vec::new();
    read(deed, lists, &super::pairing::Pairing::default(), &mut found);
    !found.is_empty()
}
