//! A responder of HTTP/1.1 that answers each request with the next line of its script, and remembers the request.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// A whole answer: status, further header lines (each with its line end), body.
    Answer(u16, &'static str, String),
    /// These bytes, then it hangs up.
    Raw(&'static str),
    /// Nothing, for longer than anybody waits.
    Hang,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    /// `POST /path`.
    pub(crate) line: String,
    /// Header lines in lower case, name and value.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(held, _)| held == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }
}

pub(crate) struct Server {
    pub(crate) url: String,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Server {
    /// Answers one request after the other with `script`; its last line serves all further ones.
    pub(crate) async fn start(script: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let got = Arc::new(Mutex::new(Vec::new()));
        let seen = got.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, script) = (seen.clone(), script.clone());
                tokio::spawn(async move { serve(stream, &seen, &script).await });
            }
        });
        Self { url, got }
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, seen: &Mutex<Vec<Got>>, script: &[Act]) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await {
        let act = {
            let mut seen = seen.lock().unwrap();
            seen.push(request);
            script[(seen.len() - 1).min(script.len() - 1)].clone()
        };
        let answer = match act {
            Act::Answer(status, headers, body) => {
                format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
            }
            Act::Raw(bytes) => {
                let _ = stream.write_all(bytes.as_bytes()).await;
                return;
            }
            Act::Hang => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                return;
            }
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Got> {
    let mut line = String::new();
    if stream.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Got { line, headers, body: String::from_utf8(body).ok()? })
}
