//! Values by their path: `http.request.method`, whether objects are nested in one another or a key has the dots in it.

use crate::json::Value;

/// Dots in a path at most: each may part two keys or belong to one, so that trying them all has a bound.
pub(crate) const DOTS_MAX: usize = 8;

/// The value at `path`; items of arrays go by their number, from 0. An array of one item is that item.
pub(crate) fn find<'t>(from: Value<'t>, path: &str) -> Option<Value<'t>> {
    if let Some(value) = step(from, path) {
        return Some(alone(value));
    }
    path.match_indices('.').take(DOTS_MAX).find_map(|(at, _)| find(step(from, &path[..at])?, &path[at + 1..]))
}

fn step<'t>(from: Value<'t>, key: &str) -> Option<Value<'t>> {
    if from.is_array() { from.items().nth(key.parse().ok()?) } else { from.get(key) }
}

/// The item of an array that has one.
pub(crate) fn alone(value: Value<'_>) -> Value<'_> {
    let mut items = value.items();
    match (items.next(), items.next()) {
        (Some(item), None) => item,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;

    #[test]
    fn nested_dotted_and_mixed() {
        for text in [
            r#"{"http":{"request":{"method":"GET"}}}"#,
            r#"{"http.request.method":"GET"}"#,
            r#"{"http":{"request.method":"GET"}}"#,
            r#"{"http.request":{"method":["GET"]}}"#,
            r#"{"http":1,"http.request":{"method":"GET"}}"#,
        ] {
            let mut tape = Tape::default();
            let found = find(tape.parse(text).unwrap().0, "http.request.method");
            assert_eq!(found.and_then(Value::text), Some("GET"), "{text}");
        }
        let mut tape = Tape::default();
        let array = tape.parse(r#"{"a":[{"b":1},{"b":2}]}"#).unwrap().0;
        assert_eq!(find(array, "a.1.b").and_then(Value::scalar), Some("2"));
        assert!(find(array, "a.2.b").is_none() && find(array, "a.b").is_none() && find(array, "").is_none());
    }

    #[test]
    fn a_path_of_dots_ends() {
        let text = format!("{}1{}", r#"{"":"#.repeat(60), "}".repeat(60));
        assert!(find(Tape::default().parse(&text).unwrap().0, &".".repeat(DOTS_MAX)).is_some());
    }
}
