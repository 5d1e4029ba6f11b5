//! The arguments of an event of Tracee's: `{"name":…,"type":…,"value":…}` in its releases, `{"name":…,"str":…}` after them,
//! with lists in a box and 64 bits in quotes.

use std::borrow::Cow;

use crate::json::Value;
use crate::path::find;

/// The arguments by their names; where one is missing, those of the event behind the finding.
pub(super) struct Arguments<'t> {
    own: Option<Value<'t>>,
    cause: Option<Value<'t>>,
}

impl<'t> Arguments<'t> {
    pub(super) fn of(own: Option<Value<'t>>, cause: Option<Value<'t>>) -> Self {
        Self { own, cause }
    }

    /// The value of an argument, without its type and box.
    pub(super) fn get(&self, name: &str) -> Option<Value<'t>> {
        [self.own, self.cause].into_iter().flatten().find_map(|list| {
            let of = list.items().find(|of| of.get("name").and_then(Value::text) == Some(name))?;
            let (_, value) = of.entries().filter(|(key, _)| !matches!(*key, "name" | "type")).last()?;
            Some(value.get("value").unwrap_or(value))
        })
    }

    /// The first of these that is a text and not empty.
    pub(super) fn text(&self, names: &[&str]) -> &'t str {
        let texts = names.iter().filter_map(|name| self.get(name)?.text());
        texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
    }

    /// How a file was opened: words where Tracee parses arguments, else the kernel's number, which is put into words.
    pub(super) fn flags(&self) -> Cow<'t, str> {
        let Some(flags) = self.get("flags") else { return "".into() };
        if let Some(text) = flags.text() {
            return text.into();
        }
        let Some(bits) = flags.integer() else { return "".into() };
        let mut words = ["O_RDONLY", "O_WRONLY", "O_RDWR", ""][(bits & 3) as usize].to_owned();
        for (bit, word) in [(0o100, "O_CREAT"), (0o1000, "O_TRUNC"), (0o2000, "O_APPEND")] {
            if bits & bit != 0 {
                words.push('|');
                words.push_str(word);
            }
        }
        words.into()
    }

    /// The address and port that a connection goes to.
    pub(super) fn remote(&self) -> Option<(&'t str, &'t str)> {
        let part = |of: Value<'t>, key: &str| of.get(key).and_then(Value::scalar).unwrap_or_default();
        if let Some(address) = self.address() {
            // The third and fourth as the documentation draws them.
            return [
                ("sin_addr", "sin_port"),
                ("sin6_addr", "sin6_port"),
                ("sinAddr", "sinPort"),
                ("sin6Addr", "sin6Port"),
            ]
            .into_iter()
            .map(|(host, port)| (part(address, host), part(address, port)))
            .find(|(host, _)| !host.is_empty());
        }
        let port = self.get("dst_port").and_then(Value::scalar).unwrap_or_default();
        Some((self.text(&["dst"]), port)).filter(|(host, _)| !host.is_empty())
    }

    /// The file that stands for a socket of this machine.
    pub(super) fn socket(&self) -> &'t str {
        let path = |address: Value<'t>| address.get("sun_path").or_else(|| address.get("sunPath"))?.text();
        self.address().and_then(path).unwrap_or_default()
    }

    fn address(&self) -> Option<Value<'t>> {
        ["remote_addr", "addr"].iter().find_map(|name| self.get(name).filter(|of| of.is_object()))
    }

    /// The name that Tracee had seen an address looked up by.
    pub(super) fn remote_name(&self) -> &'t str {
        let names = self.get("dst_dns");
        names.and_then(|names| names.items().next()?.text()).unwrap_or_default()
    }

    /// The name that was asked for, and what it was answered with.
    pub(super) fn look_up(&self) -> (&'t str, Vec<&'t str>) {
        let mut question = "";
        let mut answers = Vec::new();
        for name in ["proto_dns", "dns_questions", "dns_response", "dns_responses", "dns"] {
            let Some(value) = self.get(name) else { continue };
            let lists = ["questions", "responses"].map(|key| value.get(key));
            for item in std::iter::once(value).chain(lists.into_iter().flatten()).flat_map(Value::items) {
                let asked =
                    ["name", "query", "query_data.query"].iter().find_map(|key| find(item, key)?.text());
                if question.is_empty() {
                    question = asked.unwrap_or_default();
                }
                let lists = ["dns_answer", "answers", "answer"].map(|key| item.get(key));
                answers.extend(lists.into_iter().flatten().flat_map(Value::items).filter_map(answer));
            }
            answers.extend(value.get("answers").into_iter().flat_map(Value::items).filter_map(answer));
        }
        (question, answers)
    }
}

fn answer(of: Value<'_>) -> Option<&str> {
    let keys = ["IP", "ip", "CNAME", "cname", "answer"];
    keys.iter().filter_map(|key| of.get(key)?.text()).find(|text| !text.is_empty())
}
