//! Whatever is in the file, the answer is a configuration or complaints.

use proptest::prelude::*;

use super::*;

/// Pieces that YAML and we give a meaning to.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~äß\\t\\n]{0,12}",
        prop::sample::select(vec![
            "\n", "  ", "- ", ": ", "{", "}", "[", "]", "'", "\"", "&a ", "*a", "<<: ", "|", ">", "!!int ",
            "${", "${A:-", "#", "null", "kafka:", "rules:", "name: ", "---\n", "0x1f", "1e400", ".nan",
            "=~\"(\"",
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_damaged_file_is_answered(at in 0usize..10_000, cut in 0usize..40, pieces in prop::collection::vec(piece(), 0..6)) {
        let whole = include_str!("../../../deploy/beaconfire.example.yaml");
        let floor = |at: usize| whole.floor_char_boundary(at % whole.len());
        let start = floor(at);
        let end = floor((start + cut).min(whole.len() - 1)).max(start);
        let text = format!("{}{}{}", &whole[..start], pieces.concat(), &whole[end..]);
        match load(&text).load() {
            Ok(config) => prop_assert!(!config.redacted().is_empty()),
            Err(complaints) => {
                prop_assert!(complaints.iter().any(Complaint::is_error));
                prop_assert!(complaints.iter().all(|complaint| !complaint.to_string().is_empty()));
            }
        }
    }
}
