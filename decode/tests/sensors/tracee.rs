//! Tracee's three shapes, and the forms that each of them has.

use beaconfire_decode::{Format, Reject};

use super::{check, read};

pub(crate) const LEGACY: &str = r#"{"timestamp":1767323045123456789,"threadStartTime":1,"processId":7,"hostProcessId":4741,"userId":0,"processName":"xmrig","executable":{"path":"/tmp/xmrig"},"hostName":"cart-7d9f8b6c5d-","containerId":"ae95","container":{"id":"ae95a93ce0c2f1b8","name":"app","image":"shop/cart:1","imageDigest":"sha256:ab"},"kubernetes":{"podName":"cart-7d9f8b6c5d-x2x4z","podNamespace":"shop","podUID":"u"},"eventId":"59","eventName":"sched_process_exec","matchedPolicies":[""],"argsNum":4,"returnValue":0,"syscall":"execve","args":[{"name":"cmdpath","type":"const char*","value":"/tmp/xmrig"},{"name":"pathname","type":"const char*","value":"/tmp/xmrig"},{"name":"argv","type":"const char**","value":["xmrig","-o","stratum+tcp://pool.example.com:3333"]},{"name":"env","type":"const char**","value":["PATH=/bin","POOL_URL=x"]},{"name":"prev_comm","type":"const char*","value":"sh"}]}"#;
pub(crate) const BETA: &str = r#"{"timestamp":"2026-01-02T03:04:05.123456789Z","id":1015,"name":"sched_process_exec","policies":{"matched":["p"]},"workload":{"process":{"executable":{"path":"/tmp/xmrig"},"unique_id":1,"host_pid":4741,"pid":7,"real_user":{"id":0},"thread":{"start_time":"2026-01-02T03:04:05Z","name":"xmrig","tid":7}},"container":{"id":"ae95a93ce0c2f1b8","name":"app","image":{"id":"x","repo_digests":["shop/cart@sha256:ab"],"name":"shop/cart:1"},"started":true},"k8s":{"pod":{"name":"cart-7d9f8b6c5d-x2x4z","uid":"u"},"namespace":{"name":"shop"}}},"data":[{"name":"pathname","str":"/tmp/xmrig"},{"name":"argv","str_array":{"value":["xmrig","-o","stratum+tcp://pool.example.com:3333"]}},{"name":"env","str_array":{"value":["PATH=/bin","POOL_URL=x"]}},{"name":"prev_comm","str":"sh"}]}"#;

/// An event of the releases with these arguments.
fn legacy(name: &str, args: &str) -> String {
    format!(
        r#"{{"timestamp":1767323045000000000,"processName":"sh","hostProcessId":9,"hostName":"edge-1","eventName":"{name}","args":[{args}]}}"#
    )
}

/// An event after them with this data.
fn beta(name: &str, data: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-01-02T03:04:05Z","id":1,"name":"{name}","workload":{{"process":{{"host_pid":9,"thread":{{"name":"sh"}}}}}},"data":[{data}]}}"#
    )
}

/// Both shapes say the same.
#[track_caller]
fn both(name: &str, args: &str, data: &str, meant: &str) {
    let of = |kind_and_host: &str| meant.replace("HOST", kind_and_host);
    check(Format::Tracee, &legacy(name, args), &[&of("edge-1")]);
    check(Format::Tracee, &beta(name, data), &[&of("unknown")]);
}

#[test]
fn programs_that_start() {
    let meant = "2026-01-02T03:04:05.123Z Exec shop/cart: event=sched_process_exec process=xmrig cmdline=xmrig -o stratum+tcp://pool.example.com:3333 exe=/tmp/xmrig parent=sh pid=4741 container=app image=shop/cart:1@sha256:ab path=/tmp/xmrig environment=PATH,POOL_URL";
    check(Format::Tracee, LEGACY, &[meant]);
    check(Format::Tracee, BETA, &[meant]);
    // Up to 0.13 all was flat.
    let flat = LEGACY
        .replace(r#""container":{"id":"ae95a93ce0c2f1b8","name":"app","image":"shop/cart:1","imageDigest":"sha256:ab"}"#, r#""containerName":"app","containerImage":"shop/cart:1""#)
        .replace(r#""kubernetes":{"podName":"cart-7d9f8b6c5d-x2x4z","podNamespace":"shop","podUID":"u"}"#, r#""podName":"cart-7d9f8b6c5d-x2x4z","podNamespace":"shop","podUID":"u""#);
    check(Format::Tracee, &flat, &[&meant.replace("@sha256:ab", "")]);
    // Both may be there, and one of them empty.
    let twice =
        LEGACY.replace(r#""containerId":"ae95""#, r#""containerId":"","podName":"","podNamespace":"""#);
    check(Format::Tracee, &twice, &[meant]);
    // While the call runs, the process is the one that makes it.
    both(
        "execve",
        r#"{"name":"pathname","type":"const char*","value":"/tmp/xmrig"},{"name":"argv","type":"x","value":["x"]}"#,
        r#"{"name":"pathname","str":"/tmp/xmrig"},{"name":"argv","str_array":{"value":["x"]}}"#,
        "2026-01-02T03:04:05Z Exec host@HOST: event=execve process=xmrig cmdline=x exe=/tmp/xmrig parent=sh pid=9 path=/tmp/xmrig",
    );
    // No arguments.
    both(
        "execve",
        r#"{"name":"envp","type":"x","value":null}"#,
        r#"{"name":"argv","str_array":{}}"#,
        "2026-01-02T03:04:05Z Exec host@HOST: event=execve process=sh pid=9",
    );
}

#[test]
fn connections() {
    let meant = |remote: &str| {
        format!(
            "2026-01-02T03:04:05Z Connect host@HOST: event=security_socket_connect process=sh pid=9 {remote}"
        )
    };
    // Ports are text in one, a number in the other.
    both(
        "security_socket_connect",
        r#"{"name":"remote_addr","type":"struct sockaddr*","value":{"sa_family":"AF_INET","sin_addr":"203.0.113.9","sin_port":"3333"}}"#,
        r#"{"name":"remote_addr","sockaddr":{"sa_family":"AF_INET","sin_addr":"203.0.113.9","sin_port":3333}}"#,
        &meant("remote=203.0.113.9:3333"),
    );
    both(
        "security_socket_connect",
        r#"{"name":"remote_addr","type":"struct sockaddr*","value":{"sa_family":"AF_INET6","sin6_addr":"2001:db8::9","sin6_port":"443"}}"#,
        r#"{"name":"remote_addr","sockaddr":{"sa_family":"AF_INET6","sin6_addr":"2001:db8::9","sin6_port":443}}"#,
        &meant("remote=[2001:db8::9]:443"),
    );
    both(
        "security_socket_connect",
        r#"{"name":"remote_addr","type":"struct sockaddr*","value":{"sa_family":"AF_UNIX","sun_path":"/run/docker.sock"}}"#,
        r#"{"name":"remote_addr","sockaddr":{"sa_family":"AF_UNIX","sun_path":"/run/docker.sock"}}"#,
        &meant("path=/run/docker.sock"),
    );
    // As the documentation draws it.
    check(
        Format::Tracee,
        &beta(
            "security_socket_connect",
            r#"{"name":"remote_addr","sockaddr":{"saFamily":"AF_INET","sinAddr":"203.0.113.9","sinPort":3333}}"#,
        ),
        &[&meant("remote=203.0.113.9:3333").replace("HOST", "unknown")],
    );
    check(
        Format::Tracee,
        &legacy(
            "net_tcp_connect",
            r#"{"name":"dst","type":"const char*","value":"203.0.113.9"},{"name":"dst_port","type":"int","value":3333},{"name":"dst_dns","type":"const char**","value":["pool.example.com"]}"#,
        ),
        &[
            "2026-01-02T03:04:05Z Connect host@edge-1: event=net_tcp_connect process=sh pid=9 remote=203.0.113.9:3333 domain=pool.example.com",
        ],
    );
}

#[test]
fn names_that_are_looked_up() {
    let meant = |answers: &str| {
        format!(
            "2026-01-02T03:04:05Z Dns host@HOST: event=net_packet_dns process=sh pid=9 domain=pool.example.com{answers}"
        )
    };
    both(
        "net_packet_dns",
        r#"{"name":"src","type":"const char*","value":"10.0.0.1"},{"name":"proto_dns","type":"trace.ProtoDNS","value":{"ID":1,"questions":[{"name":"pool.example.com","type":"A"}],"answers":[{"name":"pool.example.com","type":"A","IP":"203.0.113.9","CNAME":""},{"type":"CNAME","IP":"","CNAME":"x.example.com"}]}}"#,
        r#"{"name":"proto_dns","dns":{"id":1,"questions":[{"name":"pool.example.com"}],"answers":[{"ip":"203.0.113.9"},{"cname":"x.example.com"}]}}"#,
        &meant(" answers=203.0.113.9,x.example.com"),
    );
    both(
        "net_packet_dns",
        r#"{"name":"dns_questions","type":"[]trace.DnsQueryData","value":[{"query":"pool.example.com","query_type":"A","query_class":"IN"}]}"#,
        r#"{"name":"dns_questions","dns_questions":{"questions":[{"query":"pool.example.com","query_type":"A"}]}}"#,
        &meant(""),
    );
    both(
        "net_packet_dns",
        r#"{"name":"dns_response","type":"[]trace.DnsResponseData","value":[{"query_data":{"query":"pool.example.com"},"dns_answer":[{"answer_type":"A","answer":"203.0.113.9"}]}]}"#,
        r#"{"name":"dns_responses","dns_responses":{"responses":[{"query_data":{"query":"pool.example.com"},"dns_answer":[{"answer":"203.0.113.9"}]}]}}"#,
        &meant(" answers=203.0.113.9"),
    );
}

/// Flags are words where Tracee parses arguments, else the kernel's number.
#[test]
fn files() {
    let meant = "2026-01-02T03:04:05Z File host@HOST: event=security_file_open process=sh pid=9 path=/etc/ld.so.preload flags=O_WRONLY|O_CREAT|O_TRUNC";
    both(
        "security_file_open",
        r#"{"name":"pathname","type":"const char*","value":"/etc/ld.so.preload"},{"name":"flags","type":"string","value":"O_WRONLY|O_CREAT|O_TRUNC"}"#,
        r#"{"name":"pathname","str":"/etc/ld.so.preload"},{"name":"flags","int32":577}"#,
        meant,
    );
    check(
        Format::Tracee,
        &legacy(
            "security_inode_rename",
            r#"{"name":"old_path","type":"x","value":"/a"},{"name":"new_path","type":"x","value":"/b"}"#,
        ),
        &[
            "2026-01-02T03:04:05Z File host@edge-1: event=security_inode_rename process=sh pid=9 path=/b flags=O_WRONLY",
        ],
    );
    check(
        Format::Tracee,
        &beta("magic_write", r#"{"name":"bytes","bytes":"f0VMRgIBAQA="},{"name":"pathname","str":"/tmp/x"}"#),
        &[
            "2026-01-02T03:04:05Z File host@unknown: event=magic_write process=sh pid=9 path=/tmp/x flags=O_WRONLY",
        ],
    );
}

#[test]
fn findings() {
    let finding = |properties: &str| {
        legacy("dropped_executable", r#"{"name":"path","type":"x","value":"/tmp/x"}"#).replace(
            r#""args":"#,
            &format!(r#""metadata":{{"Version":"1","Description":"d","Tags":null,"Properties":{{{properties}}}}},"args":"#),
        )
    };
    let meant =
        "2026-01-02T03:04:05Z Finding host@edge-1: event=dropped_executable process=sh pid=9 path=/tmp/x";
    for (level, severity) in [(0, "info"), (1, "info"), (2, "warning"), (3, "error")] {
        let properties = format!(
            r#""Severity":{level},"external_id":"T1036","signatureID":"TRC-1022","signatureName":"New executable dropped""#
        );
        let said = format!("{meant} rule=New executable dropped severity={severity} tags=T1036,TRC-1022");
        check(Format::Tracee, &finding(&properties), &[&said]);
    }
    // A signature of one's own may say no more than its number.
    check(
        Format::Tracee,
        &finding(r#""signatureID":"Mine-1""#),
        &[&format!("{meant} rule=dropped_executable tags=Mine-1")],
    );
    // Five levels after the releases; the encoder leaves out what is zero.
    for (level, severity) in
        [("0", "info"), ("2", "warning"), ("3", "error"), ("4", "critical"), ("\"HIGH\"", "error")]
    {
        let threat = format!(
            r#""threat":{{"description":"d","mitre":{{"tactic":{{"name":"t"}},"technique":{{"id":"T1036","name":"n"}}}},"severity":{level},"name":"New executable dropped","properties":{{"signatureID":"TRC-1022"}}}},"detected_from":{{"id":1,"name":"magic_write","data":[{{"name":"pathname","str":"/tmp/x"}}]}},"data""#
        );
        let text = beta("dropped_executable", "").replace(r#""data""#, &threat);
        let said = format!(
            "{} rule=New executable dropped severity={severity} tags=T1036,TRC-1022",
            meant.replace("edge-1", "unknown")
        );
        check(Format::Tracee, &text, &[&said]);
        let text = text.replace(r#""severity":0,"#, "");
        assert!(
            read(Format::Auto, text.as_bytes()).0[0].contains(&format!("severity={severity} ")),
            "{text}"
        );
    }
    // tracee-rules.
    let text = format!(
        r#"{{"Data":{{"file":"/tmp/x"}},"Context":{},"SigMetadata":{{"ID":"TRC-2","Version":"0.1.0","Name":"Anti-Debugging","Description":"d","Tags":["linux"],"Properties":{{"MITRE ATT&CK":"Defense Evasion: Execution Guardrails","Severity":3}}}}}}"#,
        legacy("ptrace", r#"{"name":"request","type":"x","value":"PTRACE_TRACEME"}"#)
    );
    check(
        Format::Tracee,
        &text,
        &[
            "2026-01-02T03:04:05Z Finding host@edge-1: event=ptrace process=sh pid=9 rule=Anti-Debugging severity=error tags=TRC-2",
        ],
    );
}

/// In a container the host's name is the container's own, cut short: the node that the shipper names counts.
#[test]
fn a_containers_own_name_names_no_workload() {
    let alone = LEGACY.replace(r#""podName":"cart-7d9f8b6c5d-x2x4z","podNamespace":"shop","#, "");
    assert!(read(Format::Auto, alone.as_bytes()).0[0].contains(" Exec shop/cart@unknown: "), "{alone}");
    let shipped = serde_json::json!({"event": alone, "kubernetes": {"host": "node-1"}}).to_string();
    assert!(read(Format::Auto, shipped.as_bytes()).0[0].contains(" Exec shop/cart@node-1: "), "{shipped}");
}

#[test]
fn times() {
    for (time, meant) in [
        (r#""null""#, "2026-01-02T03:05:00Z "),
        ("null", "2026-01-02T03:05:00Z "),
        (r#"{"seconds":"1767323045","nanos":123456789}"#, "2026-01-02T03:04:05Z "),
    ] {
        let text = BETA.replace(r#""2026-01-02T03:04:05.123456789Z""#, time);
        let (events, ended) = read(Format::Auto, text.as_bytes());
        assert!(ended.is_ok() && events[0].starts_with(meant), "{events:?}");
    }
    let never = BETA.replace(r#""2026-01-02T03:04:05.123456789Z""#, r#""soon""#);
    assert_eq!(read(Format::Auto, never.as_bytes()), (vec![], Err(Reject::Timestamp)));
}

#[test]
fn what_nothing_looks_at_is_other() {
    check(
        Format::Tracee,
        &legacy(
            "net_packet_tcp",
            r#"{"name":"src","type":"x","value":"10.0.0.1"},{"name":"dst","type":"x","value":"203.0.113.9"}"#,
        ),
        &["2026-01-02T03:04:05Z Other host@edge-1: event=net_packet_tcp process=sh pid=9"],
    );
}
