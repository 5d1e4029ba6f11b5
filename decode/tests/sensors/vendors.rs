//! What clouds tell: findings of GuardDuty, queries of a VPC's resolver. And Falco's fields beside its rule.

use beaconfire_decode::{Format, Reject};

use super::{check, read};

pub(crate) const GUARDDUTY: &str = r#"{"schemaVersion":"2.0","accountId":"111122223333","region":"eu-west-1","id":"f1","type":"CryptoCurrency:Runtime/BitcoinTool.B!DNS","resource":{"resourceType":"EKSCluster","eksClusterDetails":{"name":"prod"},"kubernetesDetails":{"kubernetesUserDetails":null,"kubernetesWorkloadDetails":{"name":"cart-7d9f8b6c5d-x2x4z","type":"pods","uid":"u","namespace":"shop","containers":[{"name":"app","image":"shop/cart:1","id":"containerd://ae95a93ce0c2"}]}}},"service":{"serviceName":"guardduty","action":{"actionType":"DNS_REQUEST","dnsRequestAction":{"domain":"pool.example.com.","protocol":"UDP","blocked":false}},"runtimeDetails":{"process":{"name":"nginx","executablePath":"/usr/sbin/nginx","pid":77}},"eventFirstSeen":"2026-01-02T03:00:00Z","eventLastSeen":"2026-01-02T03:04:05Z","count":3},"severity":8.0,"createdAt":"2026-01-02T03:05:00.000Z","updatedAt":"2026-01-02T03:06:00.000Z","title":"t","description":"d"}"#;
pub(crate) const VPC_DNS: &str = r#"{"version":"1.100000","account_id":"111122223333","region":"eu-west-1","vpc_id":"vpc-1","query_timestamp":"2026-01-02T03:04:05Z","query_name":"pool.example.com.","query_type":"A","query_class":"IN","rcode":"NOERROR","answers":[{"Rdata":"203.0.113.9","Type":"A","Class":"IN"}],"srcaddr":"10.0.1.7","srcport":"41000","transport":"UDP","srcids":{"instance":"i-0ab"}}"#;

#[test]
fn guardduty() {
    let meant = "2026-01-02T03:04:05Z Finding shop/cart: event=DNS_REQUEST process=nginx exe=/usr/sbin/nginx pid=77 container=app image=shop/cart:1 domain=pool.example.com path=/usr/sbin/nginx rule=CryptoCurrency:Runtime/BitcoinTool.B!DNS severity=error";
    check(Format::Guardduty, GUARDDUTY, &[meant]);
    for (number, severity) in [
        ("9", "critical"),
        ("8.9", "error"),
        ("7", "error"),
        ("6.9", "warning"),
        ("4", "warning"),
        ("2", "info"),
    ] {
        let text = GUARDDUTY.replace("\"severity\":8.0", &format!("\"severity\":{number}"));
        check(Format::Guardduty, &text, &[&meant.replace("severity=error", &format!("severity={severity}"))]);
    }
    let bridged = format!(
        r#"{{"version":"0","id":"e1","detail-type":"GuardDuty Finding","source":"aws.guardduty","time":"2026-01-02T03:10:00Z","detail":{GUARDDUTY}}}"#
    );
    check(Format::Guardduty, &bridged, &[meant]);
    // The API writes keys with a capital.
    check(
        Format::Guardduty,
        r#"{"AccountId":"1","Type":"CryptoCurrency:EC2/BitcoinTool.B","Severity":7.0,"UpdatedAt":"2026-01-02T03:04:05Z","Resource":{"InstanceDetails":{"InstanceId":"i-0ab"}},"Service":{"Action":{"ActionType":"NETWORK_CONNECTION","NetworkConnectionAction":{"RemoteIpDetails":{"IpAddressV4":"203.0.113.9"},"RemotePortDetails":{"Port":3333}}}}}"#,
        &[
            "2026-01-02T03:04:05Z Finding host@i-0ab: event=NETWORK_CONNECTION remote=203.0.113.9:3333 rule=CryptoCurrency:EC2/BitcoinTool.B severity=error",
        ],
    );
    let function = r#"{"type":"CryptoCurrency:Lambda/BitcoinTool.B","severity":8,"updatedAt":"2026-01-02T03:04:05Z","resource":{"lambdaDetails":{"functionName":"bill"}},"service":{"additionalInfo":{"sample":true}}}"#;
    check(
        Format::Guardduty,
        function,
        &[
            "2026-01-02T03:04:05Z Finding lambda/bill: rule=CryptoCurrency:Lambda/BitcoinTool.B severity=error tags=sample",
        ],
    );
    let nameless = GUARDDUTY.replace("CryptoCurrency:Runtime/BitcoinTool.B!DNS", "");
    assert_eq!(read(Format::Guardduty, nameless.as_bytes()), (vec![], Err(Reject::MissingField)));
}

/// A name that was not found was asked for all the same.
#[test]
fn queries_of_a_vpc() {
    check(
        Format::VpcDns,
        VPC_DNS,
        &[
            "2026-01-02T03:04:05Z Dns host@i-0ab: event=A domain=pool.example.com answers=203.0.113.9 tags=NOERROR",
        ],
    );
    let failed = VPC_DNS
        .replace("NOERROR", "NXDOMAIN")
        .replace(r#"{"Rdata":"203.0.113.9","Type":"A","Class":"IN"}"#, "")
        .replace(r#""instance":"i-0ab""#, "");
    check(
        Format::VpcDns,
        &failed,
        &["2026-01-02T03:04:05Z Dns host@10.0.1.7: event=A domain=pool.example.com tags=NXDOMAIN"],
    );
}

/// Numbers beyond 63 bits, lists where a text was, `host` for no container, and words in any case.
#[test]
fn falco() {
    let text = r#"{"hostname":"node-1","output":"x","priority":"CRITICAL","rule":"Drop and execute new binary in container","source":"syscall","tags":["T1496","maturity_stable"],"time":"2026-01-02T03:04:05.123456789Z","output_fields":{"container.id":"ae95a93ce0c2","container.name":"app","container.image.repository":"shop/cart","container.image.tag":"1","container.image.digest":["sha256:ab","sha256:cd"],"evt.arg.flags":"EXE_WRITABLE|EXE_UPPER_LAYER","evt.type":"execve","k8s.ns.name":"shop","k8s.pod.name":"cart-7d9f8b6c5d-x2x4z","proc.cmdline":"xmrig -o pool","proc.exe_ino.ctime_duration_proc_start":18446744073670260079,"proc.exepath":"/tmp/xmrig","proc.name":"xmrig","proc.pid":77,"proc.pname":"sh","user.loginuid":-1,"fd.name":null}}"#;
    let meant = "2026-01-02T03:04:05.123Z Finding shop/cart: event=execve process=xmrig cmdline=xmrig -o pool exe=/tmp/xmrig parent=sh pid=77 container=app image=shop/cart:1@sha256:ab flags=EXE_WRITABLE|EXE_UPPER_LAYER rule=Drop and execute new binary in container severity=critical tags=T1496,maturity_stable";
    check(Format::Falco, text, &[meant]);
    let bare = text
        .replace(
            r#""container.id":"ae95a93ce0c2","container.name":"app""#,
            r#""container.id":"host","container.name":"host""#,
        )
        .replace(r#"["sha256:ab","sha256:cd"]"#, r#""<NA>""#);
    check(Format::Falco, &bare, &[&meant.replace(" container=app", "").replace("@sha256:ab", "")]);
}
