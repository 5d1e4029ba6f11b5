//! The shipped lists, by what they must know and what they must leave alone.

use super::*;

/// Wants a list to match these, and not those.
#[track_caller]
fn check(list: &str, known: &[&str], left_alone: &[&str]) {
    let config = Config::load(&Sources::default()).unwrap();
    let patterns = config.plan.lists[list].iter().map(|pattern| format!("^(?:{pattern})$"));
    let set = regex::RegexSetBuilder::new(patterns).dot_matches_new_line(true).build().unwrap();
    let wrong = |texts: &[&str], wanted: bool| -> Vec<String> {
        texts.iter().filter(|text| set.is_match(text) != wanted).map(|text| (*text).to_owned()).collect()
    };
    assert_eq!(wrong(known, true), Vec::<String>::new(), "`{list}` should match these");
    assert_eq!(wrong(left_alone, false), Vec::<String>::new(), "`{list}` should not match these");
}

#[test]
fn sensitive_files() {
    check(
        "sensitive_files",
        &[
            "/.env",
            "/.env.production",
            "/api/.env",
            "/.git/config",
            "/app/.git/HEAD",
            "/.gitignore",
            "/.svn/entries",
            "/.aws/credentials",
            "/.ssh/id_rsa",
            "/id_rsa",
            "/.htpasswd",
            "/.DS_Store",
            "/wp-config.php.bak",
            "/config.yaml",
            "/config/database.yml",
            "/settings.py",
            "/docker-compose.yml",
            "/dump.sql",
            "/db.sql.gz",
            "/backup.zip",
            "/www.tar.gz",
            "/index.php.bak",
            "/phpinfo.php",
            "/server-status",
            "/etc/passwd",
            "/WEB-INF/web.xml",
            "/actuator/env",
            "/actuator/heapdump",
            "/composer.lock",
            "/server.key",
            "/.vscode/sftp.json",
            "/appsettings.json",
        ],
        &[
            "/",
            "/admin",
            "/admin/users",
            "/.well-known/acme-challenge/x",
            "/.well-known/security.txt",
            "/settings",
            "/config",
            "/environment",
            "/blog/how-to-git",
            "/team/project.git/info/refs",
            "/.github",
            "/api/database",
            "/assets/app.css",
            "/docs/backup",
            "/actuator/health",
            "/favicon.ico",
            "/sitemap.xml",
            "/old",
            "/keys",
        ],
    );
}

#[test]
fn path_traversal() {
    check(
        "path_traversal",
        &[
            "/../../etc/passwd",
            "/static/../../etc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/..%2f..%2fetc/passwd",
            "/.%2e/.%2e/bin/sh",
            "/images/..\\..\\windows",
            "/images/..%5c..%5cwin.ini",
            "/%252e%252e/x",
            "/a/..",
            "/..;/manager/html",
            "/%c0%ae%c0%ae/x",
            "/cgi-bin/.%%32%65/.%2e/x",
        ],
        &["/", "/a..b", "/compare/v1..v2", "/a.../b", "/..a", "/.", "/./x", "/blog/wait..", "/file..txt"],
    );
    check(
        "path_traversal_query",
        &[
            "file=../../etc/passwd",
            "file=..%2f..%2fetc",
            "f=....//....//etc/passwd",
            "page=/etc/passwd",
            "page=%2fetc%2fpasswd",
            "f=php://filter/x",
            "f=C:%5cwindows%5cwin.ini",
            "f=%2e%2e%2f%2e%2e%2f",
        ],
        &[
            "",
            "next=../cart",
            "src=..%2Fimg%2Fx.jpg",
            "range=1..5",
            "v=1..2..3",
            "q=etc",
            "url=https://a.example/",
        ],
    );
}

#[test]
fn injections() {
    check(
        "sql_injection",
        &[
            "id=1+union+select+1,2,3",
            "id=1%20UNION%20ALL%20SELECT%20NULL",
            "id=1/**/uNiOn/**/sElEcT/**/1",
            "id=1%27%20or%20%271%27=%271",
            "id=1'+OR+1=1--",
            "q=x%22)+or+(%221%22=%221",
            "id=1+and+1=2",
            "id=1%20AND%20(SELECT%201)=1",
            "id=-1+order+by+5",
            "id=1%27+order+by+10--+",
            "id=sleep(5)",
            "id=1%20and%20sleep%285%29",
            "id=1;waitfor+delay+'0:0:5'",
            "q=information_schema.tables",
            "id=1;drop+table+users",
            "id=1%3b%20delete%20from%20x",
            "user=admin'--",
            "user=admin%27%23",
            "id=1'",
            "id=1%27",
            "x=@@version",
            "id=(select+password+from+users)",
            "id=1+having+1=1",
        ],
        &[
            "",
            "q=select",
            "q=union",
            "q=union+of+select+clubs",
            "q=credit+union",
            "q=select+committee",
            "q=drop+table",
            "name=O'Brien",
            "name=O%27Brien+and+sons",
            "q=rock+%27n%27+roll",
            "q=salt+and+pepper",
            "year=1990+and+2000",
            "q=order+by+phone",
            "a=1;b=2",
            "a=1;update=2",
            "q=%22salt%22+and+%22pepper%22&page=2",
            "sort=name&order=asc",
            "id=12",
            "q=sleep+better",
            "q=tables+and+chairs",
            "from=a&select=b",
            "q=it's",
        ],
    );
    check(
        "script_injection",
        &[
            "q=<script>alert(1)</script>",
            "q=%3Cscript%3Ealert(1)",
            "q=%3Csvg/onload=alert(1)%3E",
            "q=%253Cscript%253E",
            "q=%22%20onmouseover=%22x",
            "u=javascript:alert(1)",
            "u=javascript%3Aalert%281%29",
            "q=\"onerror=alert`1`",
            "q=<img+src=x+onerror=x>",
            "q=document.cookie",
            "q=String.fromCharCode(88)",
            "q=%3C/script%3E",
        ],
        &[
            "",
            "q=script",
            "q=javascript",
            "q=javascript+alert",
            "onload=start",
            "a=1&onload=start",
            "q=a%3Cb",
            "q=1<2",
            "q=image",
            "q=alert",
            "price=%3C100",
            "q=evaluate(x",
            "q=confirmation",
            "q=document",
            "lang=javascript&x=1",
        ],
    );
}

#[test]
fn user_agents() {
    check(
        "scanner_user_agents",
        &[
            "sqlmap/1.7.2#stable (https://sqlmap.org)",
            "Mozilla/5.00 (Nikto/2.5.0)",
            "WPScan v3.8",
            "gobuster/3.6",
            "Mozilla/5.0 zgrab/0.x",
            "Fuzz Faster U Fool v2.1.0",
            "Nuclei - Open-source project",
            "masscan/1.3",
        ],
        &[
            "",
            "-",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
            "curl/8.5.0",
            "python-requests/2.32",
            "Go-http-client/2.0",
            "Googlebot/2.1",
            "okhttp/4.12.0",
        ],
    );
    let crawler = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    let probe = "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)";
    check(
        "crawlers",
        &[crawler, "Mozilla/5.0 (compatible; bingbot/2.0)"],
        &[probe, "", "Mozilla/5.0", "robot"],
    );
    let monitors = [
        "kube-probe/1.30",
        "GoogleHC/1.0",
        "ELB-HealthChecker/2.0",
        "Blackbox Exporter/0.25.0",
        "Pingdom.com_bot",
        probe,
    ];
    check("monitoring", &monitors, &[crawler, "", "Mozilla/5.0", "curl/8.5.0"]);
}

#[test]
fn paths_of_cms_and_health_checks() {
    check(
        "cms_paths",
        &[
            "/wp-login.php",
            "/blog/wp-login.php",
            "/xmlrpc.php",
            "/wp-admin/",
            "/wp-config.php.bak",
            "/wp-content/plugins/",
            "/wp-includes/wlwmanifest.xml",
            "/shop/wp-includes/wlwmanifest.xml",
            "/wp-content/plugins/akismet/readme.txt",
            "/wp-content/themes/x/style.php",
            "/wp-admin/setup-config.php",
            "/wp-json/wp/v2/users",
            "/administrator/",
            "/phpMyAdmin/index.php",
            "/phpmyadmin-5.1/",
            "/CHANGELOG.txt",
            "/wp-content/plugins/hello-dolly/",
        ],
        &[
            "/",
            "/wp-content/uploads/2025/01/photo.jpg",
            "/wp-content/plugins/forms/style.css",
            "/wp-json/wp/v2/posts",
            "/wp-admin/post.php",
            "/wp-admin/admin-ajax.php",
            "/wp-includes/js/jquery/jquery.js",
            "/administration",
            "/2025/01/hello-world/",
            "/admin/",
        ],
    );
    check(
        "cms_logins",
        &["/wp-login.php", "/blog/wp-login.php", "/login.php", "/user/login"],
        &["/", "/login", "/users/login-help", "/relogin.php/x"],
    );
    check(
        "health_checks",
        &[
            "/healthz",
            "/health",
            "/api/health",
            "/readyz",
            "/livez",
            "/actuator/health/liveness",
            "/ping",
            "/healthcheck",
        ],
        &["/", "/healthy-food", "/health/insurance", "/pinged", "/ready-to-wear"],
    );
}

#[test]
fn heartbeats_say_where_and_how_often() {
    let config = minimal_and(
        "heartbeats: [{url: 'https://dead.example.com/ping'}, {url: 'http://127.0.0.1:9/x', every: 10s}]\n",
    )
    .config();
    let seen: Vec<_> =
        config.heartbeats.iter().map(|beat| (beat.url.expose(), beat.every.as_secs())).collect();
    assert_eq!(seen, [("https://dead.example.com/ping", 60), ("http://127.0.0.1:9/x", 10)]);
    for (written, said) in [
        ("[{every: 1m}]", "this heartbeat has no `url`"),
        ("[{url: 'ftp://x/y'}]", "this heartbeat cannot work"),
        ("[{url: 'https://x/y', every: 1s}]", "`every`"),
        ("[{url: 'https://x/y', often: 1m}]", "unknown key `often`"),
    ] {
        let complained = minimal_and(&format!("heartbeats: {written}\n")).said();
        assert!(complained.contains(said), "{written}: {complained}");
    }
}
