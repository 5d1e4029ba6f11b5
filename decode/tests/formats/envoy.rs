//! Envoy and Istio, as text.

use beaconfire_decode::{DecodeKnobs, Format, explain};

use super::{behind_proxies, check, client, resolved};

pub(super) const ISTIO: &str = r#"[2026-01-02T03:04:05.678Z] "GET /cart?id=1 HTTP/2" 200 - via_upstream - "-" 0 512 4 4 "198.51.100.9" "Firefox" "84961386-6d84" "shop:8000" "10.1.1.27:80" outbound|8000||shop.web.svc.cluster.local 10.1.1.23:37652 10.1.45.184:8000 203.0.113.7:46520 - default"#;

pub(super) const ENVOY: &str = r#"[2026-01-02T03:04:05.678Z] "GET /cart?id=1 HTTP/2" 200 - 154 512 226 100 "203.0.113.7" "Firefox" "cc21d9b0" "shop:8000" "tcp://10.0.2.1:80""#;

#[test]
fn envoy_as_text() {
    let meant = "2026-01-02T03:04:05.678Z 203.0.113.7 web/shop GET shop:8000/cart?id=1 2 200 512 4000us Firefox 84961386-6d84";
    check(Format::Envoy, ISTIO, meant);
    check(Format::Envoy, &ISTIO.replace("via_upstream - ", "\"-\" "), meant);
    check(
        Format::Envoy,
        &ISTIO.replace("outbound|8000||shop.web.svc.cluster.local", "inbound|80||;"),
        &meant.replace("web/shop", "-"),
    );
    client(&behind_proxies(), &ISTIO.replace("203.0.113.7", "10.0.0.1"), "198.51.100.9");
    check(
        Format::Envoy,
        &ISTIO
            .replace("10.1.1.27:80\"", "envoy://connect_originate/10.1.1.27:80\"")
            .replace("outbound|8000||", "inbound-vip|8000|http|")
            .replace("10.1.1.23:37652", "envoy://internal_client_address/"),
        meant,
    );
    // A route without a name is nothing behind a blank, which a shipper may cut off.
    check(Format::Envoy, &ISTIO.replace(" - default", " - "), meant);
    check(Format::Envoy, &ISTIO.replace(" - default", " -"), meant);
    // Envoy's own format has no peer: what a sender may have written counts where the operator says that Envoy adds to it.
    check(
        Format::Envoy,
        ENVOY,
        "2026-01-02T03:04:05.678Z - - GET shop:8000/cart?id=1 2 200 512 226000us Firefox cc21d9b0",
    );
    client(&behind_proxies(), ENVOY, "-");
    client(&resolved(DecodeKnobs::default()), ENVOY, "203.0.113.7");
    let forwarded = ENVOY.replace("203.0.113.7", "6.6.6.6, 198.51.100.9, 10.0.0.1");
    client(&resolved(behind_proxies()), &forwarded, "198.51.100.9");
    client(&resolved(DecodeKnobs::default()), &forwarded, "10.0.0.1");
    client(&resolved(DecodeKnobs::default()), &ENVOY.replace("203.0.113.7", "-"), "-");
    let said = explain(ENVOY.as_bytes(), &DecodeKnobs::default()).to_string();
    assert!(said.contains("client_resolved: true"), "{said}");
    check(
        Format::Envoy,
        r#"[2026-01-02T03:04:05.678Z] "- - -" 0 UF - - "-" 0 0 4 - "-" "-" "-" "-" "-" - - 10.1.45.184:8000 203.0.113.7:46520 - -"#,
        "2026-01-02T03:04:05.678Z 203.0.113.7 - -  - 0 0 4000us - -",
    );
}
