//! Lists of the API, page after page.

use std::io::Write;

use serde_json::{Value, json};

use super::Fault;
use super::instance::Instance;
use super::output::{self, Output};

/// Items where nobody says how many.
pub(super) const LIMIT: usize = 100;
/// Items of one page; the API gives no more.
const PAGE: usize = 500;

/// So many items: 1 to 100,000.
pub(super) fn limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=100_000).contains(limit));
    limit.ok_or_else(|| "a number from 1 to 100000".to_owned())
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Listed {
    /// The items.
    pub(super) items: Vec<Value>,
    /// Where it would go on.
    next_cursor: Option<String>,
}

impl Listed {
    /// A list that came as one answer.
    pub(super) fn of(answer: &Value) -> Self {
        Self {
            items: answer["items"].as_array().cloned().unwrap_or_default(),
            next_cursor: answer["next_cursor"].as_str().map(str::to_owned),
        }
    }

    /// Prints it for programs: in the API's own shape, or an item a line.
    pub(super) fn print(&self, output: Output, out: &mut impl Write) -> anyhow::Result<()> {
        if output == Output::Json {
            return output::json(&json!({"items": self.items, "next_cursor": self.next_cursor}), out);
        }
        self.items.iter().try_for_each(|item| output::line(item, out))
    }

    /// Says that there is more than was asked for.
    pub(super) fn tell_of_more(&self) {
        if self.next_cursor.is_some() {
            eprintln!("there are more: --limit takes more than {}", self.items.len());
        }
    }
}

/// Asks for pages until there are no more or `limit` is reached.
pub(super) async fn pages(
    instance: &Instance,
    path: &str,
    query: &[(&str, String)],
    limit: usize,
) -> Result<Listed, Fault> {
    let mut listed = Listed { items: Vec::new(), next_cursor: None };
    loop {
        let wanted = (limit - listed.items.len()).min(PAGE);
        let mut query = query.to_vec();
        query.push(("limit", wanted.to_string()));
        query.extend(listed.next_cursor.take().map(|cursor| ("cursor", cursor)));
        let page = Listed::of(&instance.get(path, &query).await?);
        let came = page.items.len();
        listed.items.extend(page.items.into_iter().take(wanted));
        listed.next_cursor = page.next_cursor;
        // A page of nothing that claims to go on would be asked for for ever.
        if listed.next_cursor.is_none() || listed.items.len() >= limit || came == 0 {
            return Ok(listed);
        }
    }
}
