//! Text that a stranger wrote. There is no `Display`: whoever shows it must say where, and gets it made harmless
//! for that place. Cleaning happens once, at the door; escaping happens at each exit.

use std::fmt::Write as _;

/// Text from a record: cut to a length, with control, bidi and invisible characters made visible.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Untrusted(Box<str>);

/// Whether a character moves the cursor, turns the writing direction round or cannot be seen.
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}'
            | '\u{61c}' | '\u{180e}' | '\u{e0000}'..='\u{e007f}')
}

impl Untrusted {
    /// Cleans `text` and cuts it to at most `max` bytes (512 serves most), saying so when it does.
    pub fn new(text: &str, max: usize) -> Self {
        let mut clean = String::with_capacity(text.len().min(max));
        // The longest beginning that leaves room to say that it was cut.
        let mut kept = 0;
        for c in text.chars() {
            if is_harmful(c) {
                let _ = write!(clean, "\\u{{{:x}}}", c as u32);
            } else {
                clean.push(c);
            }
            if clean.len() > max {
                clean.truncate(kept);
                clean.push('…');
                break;
            }
            if clean.len() + '…'.len_utf8() <= max {
                kept = clean.len();
            }
        }
        Self(clean.into())
    }

    /// The cleaned text, for storing, for JSON, and for templates and HTML that escape by themselves.
    pub fn clean(&self) -> &str {
        &self.0
    }

    /// For Slack's mrkdwn: the three characters that build mentions and links, and the backtick, are defused.
    pub fn for_slack(&self) -> String {
        escape_slack(&self.0)
    }

    /// For a header of a mail or a request: no line end survives cleaning, so the text stands as it is.
    pub fn for_header(&self) -> &str {
        &self.0
    }
}

/// Escapes text for Slack's mrkdwn: `&`, `<`, `>` as its documentation asks, the backtick so that code spans hold. A
/// stranger's `*` or `_` would only look odd.
pub fn escape_slack(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '`' => out.push('ʼ'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn line_ends_escapes_and_bidi_are_made_visible() {
        let text = Untrusted::new("a\r\nBcc: x\u{1b}[0m\u{202e}", 512);
        assert_eq!(text.clean(), "a\\u{d}\\u{a}Bcc: x\\u{1b}[0m\\u{202e}");
    }

    #[test]
    fn a_mention_cannot_be_built() {
        assert_eq!(Untrusted::new("<!channel> `x`", 512).for_slack(), "&lt;!channel&gt; ʼxʼ");
    }

    proptest! {
        #[test]
        fn never_longer_than_asked_nor_harmful(text in ".{0,300}", max in 16usize..200) {
            let clean = Untrusted::new(&text, max);
            prop_assert!(clean.clean().len() <= max);
            prop_assert_eq!(&Untrusted::new(clean.clean(), max), &clean, "cleaned again");
            prop_assert!(!clean.clean().chars().any(is_harmful));
            prop_assert!(!clean.for_slack().contains(['<', '>', '`']));
        }
    }
}
