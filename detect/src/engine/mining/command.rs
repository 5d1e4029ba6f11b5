//! What a command line says of mining.
//!
//! A line is cut into simple commands at `;`, `|`, `&` and line ends, and each is judged by its program: who greps for a
//! stratum address, prints one or edits a page about it does not mine. A program that calls itself `grep` gets past
//! these strings; its lookups, connections and CPU are still seen.

use super::class::{Class, Indicator};
use super::lists::Lists;

/// Programs that show, search, edit or send text. Falco's own test of its stratum rule is an `echo`.
const READERS: [&str; 30] = [
    "ag", "awk", "bat", "cat", "diff", "echo", "egrep", "emacs", "fgrep", "find", "git", "grep", "head",
    "jq", "less", "logger", "man", "more", "nano", "printf", "rg", "sed", "strings", "tail", "tee", "vi",
    "view", "vim", "wc", "yara",
];

const COMPILERS: [&str; 12] =
    ["ar", "as", "c++", "cargo", "cc", "clang", "clang++", "g++", "gcc", "go", "ld", "rustc"];

/// What starts another program, whose name is the one that matters.
const LAUNCHERS: [&str; 9] = ["chrt", "env", "exec", "ionice", "nice", "nohup", "setsid", "sudo", "taskset"];

const SHELLS: [&str; 6] = ["ash", "bash", "busybox", "dash", "sh", "zsh"];

const SCHEMES: [&str; 7] = [
    "stratum+tcp://",
    "stratum+ssl://",
    "stratum+udp://",
    "stratum1+tcp://",
    "stratum1+ssl://",
    "stratum2+tcp://",
    "stratum2+ssl://",
];

/// Options only miners have, with what each weighs.
const OPTIONS: [(&str, f64); 9] = [
    ("--donate-level", 6.0),
    ("--nicehash", 6.0),
    ("--algo=rx/", 6.0),
    ("--randomx-1gb-pages", 6.0),
    ("--randomx-mode", 6.0),
    ("--wallet-address", 6.0),
    ("--algo=yespower", 6.0),
    ("--coin=monero", 6.0),
    // Others have this one too.
    ("--cpu-priority", 3.0),
];

/// The last part of a path.
pub(crate) fn base(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Adds what the command line shows.
pub(crate) fn read(cmdline: &str, lists: &Lists, found: &mut Vec<Indicator>) {
    let lower = cmdline.to_ascii_lowercase();
    for command in lower.split([';', '|', '&', '\n']) {
        simple(command, lists, found);
    }
    encoded(cmdline, found);
}

fn simple(command: &str, lists: &Lists, found: &mut Vec<Indicator>) {
    let quotes = ['"', '\'', '(', ')', '`', '$', '{', '}'];
    let mut words =
        command.split(|c: char| c.is_whitespace() || quotes.contains(&c)).filter(|w| !w.is_empty());
    let Some(program) = program(&mut words) else {
        return;
    };
    if READERS.contains(&program) {
        return;
    }
    match lists.miner(program) {
        Some(true) => found.push(Indicator::new(Class::MinerName, 8.0, "runs a miner", program)),
        Some(false) => found.push(Indicator::new(Class::MinerName, 4.0, "a name miners have too", program)),
        None => {}
    }
    let words: Vec<&str> = words.collect();
    if let Some(uri) = words.iter().find_map(|word| stratum(word)) {
        found.push(Indicator::new(Class::StratumUri, 10.0, "stratum address on a command line", uri));
    }
    options(program, &words, found);
    tuning(program, &words, found);
    rivals(program, &words, lists, found);
}

/// The program that a simple command comes down to, leaving its arguments in `words`.
fn program<'w>(words: &mut impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let mut launched = false;
    for word in words {
        let name = base(word);
        let option = word.starts_with('-') || word.contains('=');
        // `nice -n 19 prog`: the number belongs to nice.
        let number = launched && word.bytes().all(|b| b.is_ascii_digit() || b == b',');
        if option || number {
            continue;
        }
        if LAUNCHERS.contains(&name) || SHELLS.contains(&name) {
            launched = true;
            continue;
        }
        return Some(name);
    }
    None
}

/// A stratum address with a host behind it.
fn stratum(word: &str) -> Option<&str> {
    SCHEMES.iter().find_map(|scheme| {
        let at = word.find(scheme)?;
        let host = &word[at + scheme.len()..];
        host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[').then_some(&word[at..])
    })
}

fn options(program: &str, words: &[&str], found: &mut Vec<Indicator>) {
    let option = words.iter().find_map(|word| {
        OPTIONS.iter().find(|(option, _)| word.starts_with(option)).map(|(_, weight)| (*word, *weight))
    });
    if let Some((word, weight)) = option {
        found.push(Indicator::new(Class::MinerOptions, weight, "an option of miners", word));
        return;
    }
    if COMPILERS.contains(&program) {
        return;
    }
    // `-o pool.host:port`, but not `-o pool.o`: an address has a port or three labels.
    let pool = words.windows(2).find(|pair| {
        matches!(pair[0], "-o" | "--url")
            && pair[1].starts_with("pool.")
            && (pair[1].contains(':') || pair[1].split('.').filter(|label| label.len() > 1).count() > 2)
    });
    if let Some(pair) = pool {
        found.push(Indicator::new(Class::MinerOptions, 2.0, "output to a pool", pair[1]));
    }
}

fn tuning(program: &str, words: &[&str], found: &mut Vec<Indicator>) {
    let msr = program == "wrmsr"
        || (program == "modprobe" && words.contains(&"msr") && words.contains(&"allow_writes=on"));
    let pages = program == "sysctl" && words.iter().any(|word| word.starts_with("vm.nr_hugepages="));
    if msr {
        found.push(Indicator::new(Class::HostTuning, 7.0, "writes processor registers", program));
    } else if pages {
        found.push(Indicator::new(Class::HostTuning, 4.0, "reserves huge pages", &words.join(" ")));
    }
}

fn rivals(program: &str, words: &[&str], lists: &Lists, found: &mut Vec<Indicator>) {
    let names_miner = || words.iter().any(|word| lists.miner(base(word)) == Some(true));
    let names_pool = || words.iter().any(|word| lists.pool(word).is_some());
    let kills = matches!(program, "pkill" | "killall") && names_miner();
    let seals = program == "chattr" && words.contains(&"+i");
    let bars = program == "iptables" && words.contains(&"drop") && names_pool();
    if kills || seals || bars {
        let line = format!("{program} {}", words.join(" "));
        found.push(Indicator::new(Class::RivalsKilled, 3.0, "kills rivals or seals files", &line));
    }
}

/// Miner options and stratum addresses hidden in base64, at any of the three offsets.
fn encoded(cmdline: &str, found: &mut Vec<Indicator>) {
    // A long run of base64 is rare: most lines end here.
    let bytes = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let Some(run) = cmdline.split(|c| !bytes(c)).filter(|run| run.len() >= 24).find(|run| {
        ["stratum+tcp://", "stratum+ssl://", "--donate-level"]
            .iter()
            .any(|text| (0..3).any(|offset| run.contains(&base64_at(text.as_bytes(), offset))))
    }) else {
        return;
    };
    found.push(Indicator::new(Class::MinerOptions, 6.0, "miner options in base64", run));
}

/// How `text` looks inside base64 when it begins `offset` bytes into a group of three, without the characters that
/// share bits with their neighbours.
fn base64_at(text: &[u8], offset: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = |at: usize| {
        let byte = (at / 8).checked_sub(offset).and_then(|i| text.get(i)).copied().unwrap_or(0);
        byte >> (7 - at % 8) & 1
    };
    let (first, last) = ((offset * 8).div_ceil(6), (offset + text.len()) * 8 / 6);
    (first..last)
        .map(|digit| {
            let value = (0..6).fold(0u8, |value, bit| value << 1 | bits(digit * 6 + bit));
            char::from(ALPHABET[usize::from(value)])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(cmdline: &str) -> Vec<(u8, f64)> {
        let mut found = Vec::new();
        read(cmdline, &Lists::default(), &mut found);
        found.iter().map(|indicator| (indicator.class.number(), indicator.weight)).collect()
    }

    #[test]
    fn miners_are_read() {
        for (cmdline, wanted) in [
            ("/tmp/x -o stratum+tcp://pool.example.net:3333 -u 4A", vec![(1, 10.0)]),
            ("sh -c \"cd /tmp && ./kthread -o stratum+ssl://[2001:db8::1]:443\"", vec![(1, 10.0)]),
            ("nice -n 19 ./xmrig --config=c.json", vec![(3, 8.0)]),
            ("./a --donate-level=1 -B", vec![(2, 6.0)]),
            ("./a -o pool.example.com:443 -p x", vec![(2, 2.0)]),
            ("./a -o pool.eu.example.com -p x", vec![(2, 2.0)]),
            ("modprobe msr allow_writes=on", vec![(9, 7.0)]),
            ("sysctl -w vm.nr_hugepages=1280", vec![(9, 4.0)]),
            ("pkill -9 xmrig", vec![(13, 3.0)]),
            // `x --donate-level 1 -o y`, encoded at offset 2.
            ("sh -c echo eCAtLWRvbmF0ZS1sZXZlbCAxIC1vIHk= | base64 -d | sh", vec![(2, 6.0)]),
        ] {
            assert_eq!(classes(cmdline), wanted, "{cmdline}");
        }
    }

    #[test]
    fn those_who_only_speak_of_mining_are_not() {
        for cmdline in [
            // Falco's own test of its stratum rule.
            "echo -o stratum+tcp",
            "sh -c \"echo -o stratum+tcp://xmr.pool.example:3333\"",
            "grep -r stratum+tcp:// /rules",
            "vim docs/xmrig.md",
            "gcc -c pool.c -o pool.o",
            "cc -O2 -o pool.o pool.c",
            "make -o pool.o",
            "redis-cli -h cache -p 6379 ping",
            "curl https://docs.example.com/xmrig/stratum+tcp",
            "node server.js --title=xmrig",
            "git commit -m 'stratum+tcp://a.b: block --donate-level'",
            "",
            ";;|&",
        ] {
            assert_eq!(classes(cmdline), [], "{cmdline}");
        }
    }

    #[test]
    fn a_reader_beside_a_miner_does_not_cover_it() {
        assert_eq!(classes("grep cpu /proc/cpuinfo; ./k -o stratum+tcp://a.b:1"), [(1, 10.0)]);
    }
}
