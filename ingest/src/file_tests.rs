//! What a file's bytes become.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

/// Everything that one file brings: (offset, length, start of the line), and how it ended.
fn read(bytes: &[u8]) -> (Vec<(i64, String)>, Result<(), String>) {
    let (records, ended) = read_from(bytes, 0);
    (
        records
            .into_iter()
            .map(|(offset, line)| (offset, String::from_utf8_lossy(&line).into_owned()))
            .collect(),
        ended,
    )
}

type Told = Vec<(i64, Vec<u8>)>;

fn read_from(bytes: &[u8], from: i64) -> (Told, Result<(), String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, bytes).unwrap();
    let names = Names::default();
    let input = FileInput { from: FileSource::Path(path), entry: EntryId(0) };
    let mut log = match FileLog::open(&[input], &names) {
        Ok(log) => log,
        Err(fault) => return (Vec::new(), Err(fault.to_string())),
    };
    let (mut records, mut caught_up) = (Vec::new(), 0);
    loop {
        match log.poll(Duration::ZERO) {
            Ok(Turn::Assigned(given)) => {
                assert_eq!(given.len(), 1);
                assert_eq!((given[0].committed.as_ref(), given[0].fresh), (None, Offset(0)));
                log.start(&[Start { source: given[0].source, at: Offset(from) }]).unwrap();
            }
            Ok(Turn::Records) => {
                let before = records.len();
                records.extend(log.records().map(|record| {
                    assert_eq!(record.stamped, None);
                    (record.offset.0, record.payload.unwrap().to_vec())
                }));
                assert!((1..=BATCH).contains(&(records.len() - before)));
            }
            Ok(Turn::CaughtUp { .. }) => caught_up += 1,
            Ok(Turn::Ended) => {
                assert_eq!(caught_up, 1, "the source is told as read to its end, once");
                return (records, Ok(()));
            }
            Ok(other) => panic!("{other:?}"),
            Err(fault) => return (records, Err(fault.to_string())),
        }
    }
}

fn check(bytes: &[u8], expected: &[(i64, &str)]) {
    let expected: Vec<(i64, String)> = expected.iter().map(|(at, line)| (*at, (*line).to_owned())).collect();
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
    let packed =
        [("plain", bytes.to_vec()), ("gzip", gzip(bytes)), ("zstd", zstd::encode_all(bytes, 3).unwrap())];
    for (how, bytes) in packed {
        assert_eq!(read(&bytes), (expected.clone(), Ok(())), "{how} {shown:?}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn lines_become_records_however_the_file_is_packed() {
    check(b"", &[]);
    check(b"\n", &[]);
    check(b"a", &[(0, "a")]);
    check(b"a\n", &[(0, "a")]);
    check(b"a\nb", &[(0, "a"), (1, "b")]);
    check(b"a\r\nb\r\n", &[(0, "a"), (1, "b")]);
    check(b"\n\na\n\r\n\nb\n", &[(2, "a"), (5, "b")]);
    check(b"a\0b\n\xff\n", &[(0, "a\0b"), (1, "\u{fffd}")]);
    check(b"abc", &[(0, "abc")]);
    check(b"abcd", &[(0, "abcd")]);
}

#[test]
fn packed_files_may_have_several_members() {
    let joined = [gzip(b"a\nb"), gzip(b"c\nd\n")].concat();
    assert_eq!(read(&joined), (vec![(0, "a".into()), (1, "bc".into()), (2, "d".into())], Ok(())));
    let joined =
        [zstd::encode_all(&b"a\n"[..], 1).unwrap(), zstd::encode_all(&b"b\n"[..], 1).unwrap()].concat();
    assert_eq!(read(&joined), (vec![(0, "a".into()), (1, "b".into())], Ok(())));
}

#[test]
fn a_line_of_any_length_is_one_record_of_bounded_length() {
    let line = |length: usize| vec![b'x'; length];
    let cases = [
        (LINE_BYTES - 1, LINE_BYTES - 1),
        (LINE_BYTES, LINE_BYTES),
        (LINE_BYTES + 1, LINE_BYTES + 1),
        (LINE_BYTES + 2, LINE_BYTES + 1),
        (LINE_BYTES + CHUNK, LINE_BYTES + 1),
        (5 * LINE_BYTES + 17, LINE_BYTES + 1),
    ];
    for (length, expected) in cases {
        for ending in ["\n", "\r\n"] {
            let bytes = [b"first\n".as_slice(), &line(length), ending.as_bytes(), b"last\n"].concat();
            let (records, ended) = read_from(&bytes, 0);
            let told: Vec<(i64, usize)> = records.iter().map(|(at, line)| (*at, line.len())).collect();
            // A carriage return behind a line that is one byte too long cannot be told from part of it.
            assert_eq!(told, [(0, 5), (1, expected), (2, 4)], "{length} {ending:?}");
            assert_eq!(ended, Ok(()));
        }
        let (records, _) = read_from(&[b"first\n".as_slice(), &line(length)].concat(), 0);
        assert_eq!(
            records.last().map(|(at, line)| (*at, line.len())),
            Some((1, expected)),
            "{length} at the end"
        );
    }
}

#[test]
fn many_lines_come_in_batches_and_none_is_missing() {
    let text: String = (0..10_000).map(|n| format!("line {n} {}\n", "x".repeat(n % 300))).collect();
    let (records, ended) = read(text.as_bytes());
    assert_eq!(ended, Ok(()));
    assert_eq!(records.len(), 10_000);
    for (n, (offset, line)) in records.iter().enumerate() {
        assert_eq!((*offset, line.split(' ').nth(1)), (n as i64, Some(n.to_string().as_str())));
    }
}

#[test]
fn reading_may_begin_at_a_later_line() {
    let (records, _) = read_from(b"a\nb\n\nc\nd\n", 2);
    assert_eq!(records, [(3, b"c".to_vec()), (4, b"d".to_vec())]);
}

#[test]
fn a_broken_archive_is_a_fault_after_the_lines_before_it() {
    let text: String = (0..50_000).map(|n| format!("{n} {}\n", n * 7919 % 10_007)).collect();
    let mut packed = gzip(text.as_bytes());
    packed.truncate(packed.len() / 2);
    let (records, ended) = read(&packed);
    assert!(records.len() > 1000, "{}", records.len());
    let said = ended.unwrap_err();
    assert!(said.contains("cannot read") && said.contains("from line"), "{said}");
}

#[test]
fn a_file_that_is_not_there_or_given_twice_is_refused() {
    let names = Names::default();
    let input = |path: &str| FileInput { from: FileSource::Path(path.into()), entry: EntryId(0) };
    let said = FileLog::open(&[input("/nonexistent/log")], &names).err().unwrap().to_string();
    assert!(said.contains("/nonexistent/log"), "{said}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let said = FileLog::open(&[input(path), input(path)], &names).err().unwrap().to_string();
    assert!(said.contains("twice"), "{said}");
}

#[test]
fn files_are_read_in_turn_but_for_those_held_back() {
    let folder = tempfile::tempdir().unwrap();
    let names = Names::default();
    let inputs: Vec<FileInput> = ["a", "b"]
        .iter()
        .map(|name| {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("{name}\n").repeat(3 * BATCH)).unwrap();
            FileInput { from: FileSource::Path(path), entry: EntryId(0) }
        })
        .collect();
    let mut log = FileLog::open(&inputs, &names).unwrap();
    let Ok(Turn::Assigned(given)) = log.poll(Duration::ZERO) else { panic!("no assignment") };
    let (a, b) = (given[0].source, given[1].source);
    let batch = |log: &mut FileLog| match log.poll(Duration::ZERO).unwrap() {
        Turn::Records => log.records().next().map(|record| record.source),
        Turn::CaughtUp { .. } | Turn::Ended => None,
        other => panic!("{other:?}"),
    };
    assert_eq!([batch(&mut log), batch(&mut log)], [Some(a), Some(b)]);
    log.hold(&[a]);
    assert_eq!([batch(&mut log), batch(&mut log)], [Some(b), Some(b)]);
    assert_eq!(batch(&mut log), None, "b was read to its end");
    assert_eq!(batch(&mut log), Some(a), "nobody is left to wait for");
    log.pause(true).unwrap();
    assert!(matches!(log.poll(Duration::ZERO), Ok(Turn::Idle)));
    log.pause(false).unwrap();
    assert_eq!(batch(&mut log), Some(a));
}

#[test]
#[ignore = "a measurement: cargo test --release -p beaconfire-ingest a_million -- --ignored --nocapture"]
fn a_million_lines_cost_little() {
    let line = "203.0.113.7 - - [02/Jan/2026:03:04:05 +0000] \"GET /cart?id=1 HTTP/1.1\" 200 512 \"-\" \"Mozilla/5.0 (X11; Linux)\"\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, line.repeat(1_000_000)).unwrap();
    let names = Names::default();
    let mut log =
        FileLog::open(&[FileInput { from: FileSource::Path(path), entry: EntryId(0) }], &names).unwrap();
    let begun = std::time::Instant::now();
    let (mut records, mut bytes) = (0u64, 0);
    loop {
        match log.poll(Duration::ZERO).unwrap() {
            Turn::Ended => break,
            Turn::Records => {
                for record in log.records() {
                    records += 1;
                    bytes += record.payload.map_or(0, <[u8]>::len);
                }
            }
            _ => {}
        }
    }
    assert_eq!((records, bytes), (1_000_000, 1_000_000 * (line.len() - 1)));
    println!("{:.3} us a line", begun.elapsed().as_secs_f64());
}
