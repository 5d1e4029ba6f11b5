//! Commands and flags that the documentation names and this version does not have: refused by name, with what to do
//! instead, and not as words that nobody knows.

use std::ffi::OsString;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Arguments;

/// Below which command, the word, and what serves in its stead.
const LATER: &[(&str, &str, &str)] = &[
    (
        "beaconfire",
        "schema",
        "`beaconfire config default` shows every key, `beaconfire formats` what is read",
    ),
    ("decisions", "allow", "name the address in `throttle.never` and restart"),
    ("decisions", "approve", "nothing waits for approval; `throttle.mode: dry_run` looks first"),
    ("replay", "--kafka", "write the topic to a file with any consumer of Kafka, and replay that"),
    ("replay", "--from", "the whole of each file is replayed"),
    ("replay", "--to", "the whole of each file is replayed"),
    ("explain", "--incident", "`beaconfire incidents show ID` shows the numbers that an incident fired on"),
];

/// What to say of a word that clap does not know and the documentation does.
pub(super) fn refused(error: &clap::Error, words: impl IntoIterator<Item = OsString>) -> Option<String> {
    let kind = match error.kind() {
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        _ => return None,
    };
    let Some(ContextValue::String(named)) = error.get(kind) else { return None };
    let named = named.split('=').next().unwrap_or_default();
    let tree = Arguments::command();
    // The command that was reached before the word that nobody knows.
    let before = words.into_iter().skip(1).map_while(|word| word.into_string().ok());
    let below = before
        .take_while(|word| word.split('=').next() != Some(named))
        .fold(&tree, |command, word| command.find_subcommand(&word).unwrap_or(command));
    let (_, _, instead) =
        LATER.iter().find(|(command, word, _)| *command == below.get_name() && *word == named)?;
    Some(format!("error: `{named}` is not in this version: {instead}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[track_caller]
    fn said(line: &str) -> Option<String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let error = Arguments::try_parse_from(&words).unwrap_err();
        refused(&error, words)
    }

    #[test]
    fn what_is_promised_for_later_is_refused_by_name() {
        for (command, word, _) in LATER {
            let line = match *command {
                "beaconfire" => format!("beaconfire --config x {word} config --z"),
                command => format!("beaconfire {command} {word} 1"),
            };
            let said = said(&line).unwrap_or_else(|| panic!("{line}"));
            assert!(said.starts_with(&format!("error: `{word}` is not in this version: ")), "{said}");
        }
    }

    #[test]
    fn a_slip_is_claps_to_explain() {
        for line in [
            "beaconfire icnidents",
            "beaconfire assign",
            "beaconfire incidents silences",
            "beaconfire run --kafka",
        ] {
            assert_eq!(said(line), None, "{line}");
        }
    }
}
