//! A message's headers as the stream holds them: whether the client can read them, and what of them can be read.
//!
//! The server stores any bytes as headers. The client gives the connection up when it meets some that break its rules
//! (`Connection::try_read_op` of async-nats 0.51), before it has said which message it was. The rules are repeated here,
//! by the client's own parts where it shows them; a test feeds the same bytes to both.

use async_nats::{HeaderName, StatusCode};

/// Names and values as they stand, in their order.
pub(super) type Headers = Vec<(String, String)>;

/// What no client reads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    /// The first thing that is wrong.
    pub(super) detail: String,
    /// What can be read all the same, with `�` for what is not UTF-8.
    pub(super) readable: Headers,
}

/// How much of a bad line is shown.
const SHOWN_MAX: usize = 60;

/// Reads headers as the client does.
pub(super) fn parse(bytes: &[u8]) -> Result<Headers, Malformed> {
    if bytes.is_empty() {
        return Ok(Headers::new());
    }
    let mut wrong = None;
    let text = String::from_utf8_lossy(bytes);
    if let Err(error) = std::str::from_utf8(bytes) {
        let at = error.valid_up_to();
        let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count();
        let line = text.split('\n').nth(line).unwrap_or_default();
        wrong = Some(format!("byte {at} is not UTF-8, in {}", shown(line)));
    }
    let mut lines = (1..).zip(text.lines()).peekable();
    if let Some((_, line)) = lines.next() {
        wrong = wrong.or(version(line).err());
    }
    let mut headers = Headers::new();
    while let Some((number, line)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let Some((name, value)) = line.split_once(':') else {
            wrong.get_or_insert_with(|| format!("line {number} has no colon: {}", shown(line)));
            continue;
        };
        let mut value = value.trim_start().to_owned();
        let goes_on = |(_, line): &(_, &str)| line.starts_with(char::is_whitespace);
        while let Some((_, more)) = lines.next_if(goes_on) {
            value.push_str(more);
        }
        value.truncate(value.trim_end().len());
        if let Err(detail) = check(name, &value) {
            wrong.get_or_insert(format!("line {number} {detail}"));
        }
        headers.push((name.to_owned(), value));
    }
    match wrong {
        None => Ok(headers),
        Some(detail) => Err(Malformed { detail, readable: headers }),
    }
}

fn version(line: &str) -> Result<(), String> {
    let Some(rest) = line.strip_prefix("NATS/1.0") else {
        return Err(format!("they begin with {} and not with `NATS/1.0`", shown(line)));
    };
    let rest = rest.trim();
    let status = rest.split_once(' ').map_or(rest, |(status, _)| status.trim());
    if status.is_empty() || status.parse::<StatusCode>().is_ok() {
        return Ok(());
    }
    Err(format!("line 1 has the status {}, which is no number from 100 to 999", shown(status)))
}

fn check(name: &str, value: &str) -> Result<(), String> {
    if name.parse::<HeaderName>().is_err() {
        return Err(format!(
            "has a name with a character that names may not have: {}",
            shown(name)
        ));
    }
    if value.contains(['\r', '\n']) {
        return Err(format!("has a carriage return in the value of {}", shown(name)));
    }
    Ok(())
}

fn shown(text: &str) -> String {
    let text = text.trim_end_matches('\r');
    match text.char_indices().nth(SHOWN_MAX) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures_util::StreamExt;
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    /// Headers, and what is wrong with them.
    const CASES: [(&[u8], &str); 28] = [
        (b"NATS/1.0\r\n\r\n", ""),
        (b"NATS/1.0\r\nA: b\r\n\r\n", ""),
        (b"NATS/1.0\r\nA:b\r\nA:c\r\nB:  d  \r\n\r\n", ""),
        (b"NATS/1.0\nA: b\n", ""),
        (b"NATS/1.0", ""),
        (b"NATS/1.0 503\r\n\r\n", ""),
        (b"NATS/1.0503 No Responders\r\nA: b\r\n\r\n", ""),
        (b"NATS/1.0   100 Idle  \r\n\r\n", ""),
        (b"NATS/1.0\r\nA:\r\n:b\r\n\r\n", ""),
        (b"NATS/1.0\r\nA: b\r\n  c\r\n\td\r\n\r\n", ""),
        (b"NATS/1.0\r\nA: b:c: d\r\n\r\n", ""),
        ("NATS/1.0\r\nA: \u{e9}\u{1f600}\r\n\r\n".as_bytes(), ""),
        (b"NATS/1.0\r\nA: b\r\r\n\r\n", ""),
        (b"NATS/1.0\r\n\r\n\r\nA: b", ""),
        (b"NATS/1.0\r\nA: \xff\r\n\r\n", "byte 13 is not UTF-8, in \"A: \u{fffd}\""),
        (b"NATS/1.0\r\nA\xc3: b\r\n\r\n", "byte 11 is not UTF-8, in \"A\u{fffd}: b\""),
        (b"\xff", "byte 0 is not UTF-8"),
        (b"NATS/2.0\r\nA: b\r\n\r\n", "they begin with \"NATS/2.0\" and not with `NATS/1.0`"),
        (b"\r\n", "they begin with \"\""),
        (b" NATS/1.0\r\n\r\n", "they begin with \" NATS/1.0\""),
        (b"NATS/1.0 abc\r\n\r\n", "the status \"abc\", which is no number from 100 to 999"),
        (b"NATS/1.0 99 x\r\n\r\n", "the status \"99\""),
        (b"NATS/1.0\r\nno colon\r\nA: b\r\n\r\n", "line 2 has no colon: \"no colon\""),
        (b"NATS/1.0\r\n continued\r\n\r\n", "line 2 has no colon: \" continued\""),
        (
            b"NATS/1.0\r\nA: b\r\nB C: d\r\n\r\n",
            "line 3 has a name with a character that names may not have: \"B C\"",
        ),
        ("NATS/1.0\r\n\u{e9}: b\r\n\r\n".as_bytes(), "line 2 has a name with"),
        (b"NATS/1.0\r\nA: b\rc\r\n\r\n", "line 2 has a carriage return in the value of \"A\""),
        (
            b"NATS/1.0\r\nA: b\r\n c\rd\r\n\r\n",
            "line 2 has a carriage return in the value of \"A\"",
        ),
    ];

    #[test]
    fn what_is_wrong_is_named() {
        for (bytes, expected) in CASES {
            let shown = String::from_utf8_lossy(bytes);
            match parse(bytes) {
                Ok(_) => assert_eq!(expected, "", "{shown:?}"),
                Err(malformed) => {
                    let detail = &malformed.detail;
                    assert!(
                        !expected.is_empty() && detail.contains(expected),
                        "{shown:?}: {detail}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_can_be_read_is_kept() {
        let bytes = b"NATS/1.0\r\nA: b\r\noops\r\nB C:  d\xff \r\nE: f\rg\r\n\r\n";
        let readable = parse(bytes).unwrap_err().readable;
        let shown: Vec<_> =
            readable.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(shown, ["A=b", "B C=d\u{fffd}", "E=f\rg"]);
        let long = format!("NATS/1.0\r\n{}\r\n", "x".repeat(500));
        assert!(parse(long.as_bytes()).unwrap_err().detail.len() < 100);
    }

    /// What the client makes of headers: the first value of each name; None if it gives the connection up.
    async fn client(bytes: &[u8]) -> Option<BTreeMap<String, String>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("nats://{}", listener.local_addr().unwrap());
        let mut sent = format!("PONG\r\nHMSG a 1 {0} {0}\r\n", bytes.len()).into_bytes();
        sent.extend_from_slice(bytes);
        sent.extend_from_slice(b"\r\nPING\r\n");
        let server = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            let mut socket = BufReader::new(socket);
            let info =
                r#"INFO {"server_id":"x","version":"2.15.1","headers":true,"max_payload":1048576}"#;
            socket.write_all(format!("{info}\r\n").as_bytes()).await.unwrap();
            let (mut line, mut subscribed) = (String::new(), false);
            loop {
                line.clear();
                // The client lets go of a connection that it gave up when it has the next one.
                let read = tokio::select! {
                    read = socket.read_line(&mut line) => read.unwrap_or(0),
                    _ = listener.accept() => 0,
                };
                if read == 0 {
                    return false;
                }
                if line.starts_with("PING") {
                    socket.write_all(b"PONG\r\n").await.unwrap();
                } else if line.starts_with("SUB") && !subscribed {
                    subscribed = true;
                    socket.write_all(&sent).await.unwrap();
                } else if line.starts_with("PONG") {
                    return true;
                }
            }
        });
        let connected = async_nats::connect(address).await.unwrap();
        let mut subscriber = connected.subscribe("a").await.unwrap();
        if !server.await.unwrap() {
            return None;
        }
        let message = subscriber.next().await.unwrap();
        let headers = message.headers.unwrap_or_default();
        let first = |(name, values): (&HeaderName, &Vec<async_nats::HeaderValue>)| {
            (name.to_string(), values[0].to_string())
        };
        Some(headers.iter().map(first).collect())
    }

    fn here(bytes: &[u8]) -> Option<BTreeMap<String, String>> {
        let mut first = BTreeMap::new();
        for (name, value) in parse(bytes).ok()? {
            first.entry(name).or_insert(value);
        }
        Some(first)
    }

    /// Both read the same, and both refuse the same.
    #[test]
    fn the_client_agrees() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (bytes, _) in CASES {
            let shown = String::from_utf8_lossy(bytes);
            assert_eq!(here(bytes), runtime.block_on(client(bytes)), "{shown:?}");
        }
        let piece = prop_oneof![
            4 => "(\r\n){0,2}[A-C]{0,2}: ?[a-c]{0,3}\r\n",
            2 => "[\u{e9}\u{a0}\u{2028} \t\r\n:AN]{1,3}",
            1 => "\r\n[ \t][a-c]",
        ];
        let bytes = (
            prop::sample::select(vec![
                "NATS/1.0\r\n",
                "NATS/1.0\r\n",
                "NATS/1.0 404 x\r\n",
                "NATS/1.0",
                "N",
            ]),
            prop::collection::vec(piece, 0..5),
            prop_oneof![9 => Just(b"\r\n\r\n".to_vec()), 1 => Just(vec![0xff])],
        );
        let mut runner = TestRunner::new(ProptestConfig::with_cases(300));
        let checked = runner.run(&bytes, |(version, pieces, end)| {
            let mut bytes = format!("{version}{}", pieces.concat()).into_bytes();
            bytes.extend(end);
            prop_assert_eq!(here(&bytes), runtime.block_on(client(&bytes)));
            Ok(())
        });
        checked.unwrap();
    }
}
