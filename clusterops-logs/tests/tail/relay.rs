//! A server between us and the real one, which answers some requests itself.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use clusterops_logs::http::{HttpClient, HttpOptions, HttpRequest, HttpRetries};
use clusterops_logs::secrecy::SecretSlice;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a request, told by its method and its path with the query.
pub(crate) type Rule = dyn Fn(&str, &str) -> Fate + Send + Sync;

pub(crate) enum Fate {
    Pass,
    /// This status, with an error of this type.
    Answer(u16, &'static str),
    /// The connection ends without an answer.
    Drop,
    /// Nothing comes, for as long as the other side waits.
    Silence,
    /// The server answers, and nobody gets to know.
    PassAndDrop,
    /// The server is asked for this path instead.
    PassTo(String),
    /// The server answers, and something else arrives.
    Edit(fn(&mut Value)),
}

pub(crate) struct Relay {
    address: SocketAddr,
    rule: Arc<Mutex<Arc<Rule>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn before(
        server: &str,
        rule: impl Fn(&str, &str) -> Fate + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let rule: Arc<Mutex<Arc<Rule>>> = Arc::new(Mutex::new(Arc::new(rule)));
        let options = HttpOptions::default()
            .retries(HttpRetries::none())
            .body_limit(256 << 20);
        let client = HttpClient::new(server, options).unwrap();
        let rules = Arc::clone(&rule);
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                tokio::spawn(serve(stream, client.clone(), Arc::clone(&rules)));
            }
        });
        Self {
            address,
            rule,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn now(&self, rule: impl Fn(&str, &str) -> Fate + Send + Sync + 'static) {
        *self.rule.lock().unwrap() = Arc::new(rule);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, client: HttpClient, rule: Arc<Mutex<Arc<Rule>>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut length = 0;
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await.ok()?;
            if header.trim().is_empty() {
                break;
            }
            let (name, value) = header.split_once(':')?;
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let rule = Arc::clone(&*rule.lock().ok()?);
        let fate = rule(&method, &target);
        let (status, answer) = match fate {
            Fate::Answer(status, kind) => {
                let error = format!(
                    r#"{{"error":{{"root_cause":[{{"type":"{kind}","reason":"told so"}}],"type":"{kind}","reason":"told so"}},"status":{status}}}"#
                );
                (status, error.into_bytes())
            }
            Fate::Drop => return None,
            Fate::Silence => std::future::pending().await,
            Fate::Pass | Fate::PassAndDrop => {
                let answer = client.send(request(&method, &target, body)).await.ok()?;
                (answer.status(), answer.body().to_vec())
            }
            Fate::PassTo(ref target) => {
                let answer = client.send(request(&method, target, body)).await.ok()?;
                (answer.status(), answer.body().to_vec())
            }
            Fate::Edit(edit) => {
                let answer = client.send(request(&method, &target, body)).await.ok()?;
                let mut value = answer.json().ok()?;
                edit(&mut value);
                (answer.status(), value.to_string().into_bytes())
            }
        };
        if matches!(fate, Fate::PassAndDrop) {
            return None;
        }
        let head = format!(
            "HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        // In one piece: the second of two would wait for the first to be acknowledged, which takes 40 ms.
        let whole = [head.as_bytes(), &answer].concat();
        stream.get_mut().write_all(&whole).await.ok()?;
    }
}

fn request(method: &str, target: &str, body: Vec<u8>) -> HttpRequest {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = match method {
        "GET" => HttpRequest::get(path),
        "PUT" => HttpRequest::put(path),
        "DELETE" => HttpRequest::delete(path),
        _ => HttpRequest::post(path),
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        request = request.query(decoded(name), decoded(value));
    }
    match body.is_empty() {
        true => request,
        false => request.body("application/json", &SecretSlice::from(body)),
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}
