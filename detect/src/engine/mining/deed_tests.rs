//! What counts as evidence, and what must stay quiet.

use super::*;

struct Answered(&'static [&'static str]);

impl Answers for Answered {
    fn pool_at(&self, address: IpAddr) -> bool {
        self.0.contains(&&*address.to_string())
    }
}

fn weights(deed: Deed<'_>) -> Vec<(u8, f64)> {
    let lists = Lists::with_file("address 198.51.100.77").unwrap();
    let mut found = Vec::new();
    read(&deed, &lists, &Answered(&["198.51.100.9"]), &mut found);
    found.iter().map(|indicator| (indicator.class.number(), indicator.weight)).collect()
}

fn exec<'a>(process: &'a str, path: &'a str, cmdline: &'a str) -> Deed<'a> {
    Deed::Exec { process, path, cmdline, environment: "", dropped: false }
}

fn connect<'a>(process: &'a str, remote: &'a str, domain: &'a str) -> Deed<'a> {
    Deed::Connect { process, remote, domain }
}

fn lookup<'a>(process: &'a str, name: &'a str) -> Deed<'a> {
    Deed::Lookup { process, name, answers: &[] }
}

fn finding<'a>(rule: &'a str, process: &'a str, cmdline: &'a str) -> Deed<'a> {
    Deed::Finding { rule, process, cmdline, domain: "" }
}

fn written<'a>(process: &'a str, path: &'a str) -> Deed<'a> {
    Deed::File { process, path, written: true }
}

#[test]
fn each_class_has_a_deed_that_shows_it() {
    let environment = "PATH=/bin POOL_USER=a POOL_PASS=b";
    for (deed, wanted) in [
        (exec("x", "/usr/bin/x", "x -o stratum+tcp://a.b:1"), vec![(1, 10.0)]),
        (exec("x", "/usr/bin/x", "x --nicehash"), vec![(2, 6.0)]),
        (exec("xmrig", "/opt/xmrig", ""), vec![(3, 8.0)]),
        (exec("kworker", "/dev/shm/xmrig", ""), vec![(3, 8.0), (11, 4.0)]),
        (Deed::Exec { process: "x", path: "", cmdline: "", environment, dropped: false }, vec![(4, 7.0)]),
        (lookup("x", "eu.moneroocean.stream"), vec![(5, 6.0)]),
        (connect("x", "203.0.113.5:3333", "gulf.moneroocean.stream"), vec![(6, 8.0), (7, 1.0)]),
        (connect("x", "198.51.100.9:9000", ""), vec![(6, 8.0)]),
        (connect("x", "198.51.100.77:9000", ""), vec![(6, 2.0)]),
        (connect("x", "203.0.113.5:14444", ""), vec![(7, 1.0)]),
        (
            Deed::Flow { remote: "203.0.113.5:9000", minutes: 31, bytes_per_second: 40.0, first_seen: true },
            vec![(8, 3.0)],
        ),
        (written("x", "/sys/module/msr/parameters/allow_writes"), vec![(9, 7.0)]),
        (
            Deed::Exec { process: "x", path: "/opt/x", cmdline: "", environment: "", dropped: true },
            vec![(11, 4.0)],
        ),
        (written("x", "/etc/cron.d/x"), vec![(12, 3.0)]),
        (exec("x", "", "pkill xmrig"), vec![(13, 3.0)]),
        (Deed::Agent { user_agent: "XMRig/6.21", outbound: true }, vec![(14, 8.0)]),
        (Deed::Agent { user_agent: "libredtail-http", outbound: false }, vec![(14, 1.0)]),
        (Deed::Deploy { image: "docker.io/someone/xmrig:latest" }, vec![(15, 4.0)]),
        (Deed::Deploy { image: "registry.example.com:5000/xmrig:6@sha256:00" }, vec![(15, 4.0)]),
        (finding("CryptoCurrency:Runtime/BitcoinTool.B!DNS", "x", ""), vec![(16, 10.0)]),
    ] {
        assert_eq!(weights(deed), wanted, "{deed:?}");
    }
}

#[test]
fn traps_stay_quiet() {
    for deed in [
        // Falco's own test of its stratum rule, as a deed and as its finding.
        exec("echo", "/bin/echo", "echo -o stratum+tcp://pool.example:1"),
        finding("Detect crypto miners using the Stratum protocol", "echo", "echo -o stratum+tcp"),
        // Falco resolves the pools that its own rules name, and vendors then say so of it.
        lookup("falco", "xmr.2miners.com"),
        finding("CryptoCurrency:Runtime/BitcoinTool.B!DNS", "falco", ""),
        lookup("coredns", "pool.supportxmr.com"),
        exec("gcc", "/usr/bin/gcc", "gcc -c pool.c -o pool.o"),
        connect("redis-cli", "10.0.0.7:6379", "cache.internal"),
        connect("app", "203.0.113.5:6379", "redis.example.com"),
        // A Selenium hub of one's own, and a debugger.
        connect("chromedriver", "10.1.2.3:4444", ""),
        connect("adb", "127.0.0.1:5555", ""),
        written("nginx", "/var/www/docs/xmrig.html"),
        exec("vim", "/usr/bin/vim", "vim docs/xmrig.md"),
        exec("curl", "/usr/bin/curl", "curl https://wiki.example.com/xmrig"),
        lookup("curl", "notminexmr.com"),
        lookup("x", "xmrig.example.com"),
        written("postgres", "/proc/sys/vm/nr_hugepages"),
        written("dpkg", "/etc/cron.d/logrotate"),
        exec("runc", "/memfd:runc_cloned", "runc init"),
        Deed::File { process: "cat", path: "/etc/cron.d/x", written: false },
        Deed::Flow { remote: "10.0.0.9:9092", minutes: 900, bytes_per_second: 100.0, first_seen: true },
        Deed::Flow { remote: "203.0.113.9:443", minutes: 900, bytes_per_second: 100.0, first_seen: false },
        Deed::Agent { user_agent: "XMRig/6.21", outbound: false },
        Deed::Deploy { image: "registry.example.com/docs/xmrig-guide:1" },
        connect("x", "not an address", "pool.supportxmr.com"),
        Deed::Exec { process: "app", path: "", cmdline: "", environment: "POOL_SIZE=5", dropped: false },
    ] {
        assert_eq!(weights(deed), [], "{deed:?}");
    }
}

#[test]
fn a_pool_on_the_ports_of_the_web_is_left_to_its_lookup() {
    assert_eq!(weights(connect("x", "203.0.113.5:443", "xmr.2miners.com")), []);
    assert_eq!(weights(connect("x", "198.51.100.9:443", "")), [(6, 2.0)]);
}
