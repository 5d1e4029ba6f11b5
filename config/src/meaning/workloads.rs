//! `baselines`, `mining`, and the workloads that `services` tie to themselves.

use beaconfire_detect::{CapacitySpec, MiningKnobs, MiningLists};

use crate::de::At;
use crate::judge::Judge;
use crate::raw::{self, Raw};

/// An indicators file is this long at most.
const INDICATORS_MAX: u64 = 16 << 20;
/// Patterns in one list of workloads.
const PATTERNS_MAX: usize = 1_000;

/// The bytes for what is usual, where anything is held against it.
pub(crate) fn baselines(judge: &mut Judge<'_>, raw: &Raw) -> Option<usize> {
    let memory = &raw.limits.baseline_memory;
    if !((1 << 20)..=(1 << 40)).contains(&memory.bytes) {
        judge.error(
            memory.place,
            "`limits.baseline_memory` is out of range",
            "write something from 1MiB to 1024GiB",
        );
    }
    raw.baselines.enabled.then(|| usize::try_from(memory.bytes).unwrap_or(usize::MAX))
}

/// What the mining engine is told.
pub(crate) fn mining(judge: &mut Judge<'_>, raw: &Raw) -> MiningKnobs {
    let allow = patterns(judge, "mining.allow", &raw.mining.allow);
    let mut lists = MiningLists::default();
    if let Some(file) = &raw.mining.indicators_file {
        match judge.slurp(file, INDICATORS_MAX) {
            Ok(text) => match MiningLists::with_file(&text) {
                Ok(read) => lists = read,
                Err(error) => judge.error(
                    file.place,
                    format!("`{}`, {error}", file.value),
                    "an indicators file has one entry a line: a kind (domain, port, process, address), a blank, a value",
                ),
            },
            Err(said) => judge.error(file.place, said, "an indicators file has one entry a line"),
        }
    }
    MiningKnobs { allow: allow.into_iter().map(Into::into).collect(), lists, workloads_max: 0 }
}

/// What a service was sized for.
pub(crate) fn capacity(judge: &mut Judge<'_>, service: &str, raw: &raw::Capacity) -> CapacitySpec {
    if let Some(rate) = raw.requests_per_second.as_ref()
        && !(rate.value > 0.0 && rate.value <= 1e9)
    {
        let said =
            format!("`services.{service}.capacity.requests_per_second` is out of range: {}", rate.value);
        judge.error(rate.place, said, "write how many requests a second the service can bear, as in 500");
    }
    let latency = raw.latency.as_ref();
    let latency =
        latency.map(|span| judge.span(&format!("services.{service}.capacity.latency"), span, "1ms"..="1h"));
    CapacitySpec { requests_per_second: raw.requests_per_second.as_ref().map(|rate| rate.value), latency }
}

/// Patterns of workloads, in which `*` stands for anything.
pub(crate) fn patterns(judge: &mut Judge<'_>, key: &str, texts: &[At<String>]) -> Vec<String> {
    if let Some(text) = texts.get(PATTERNS_MAX) {
        judge.error(text.place, format!("`{key}` takes {PATTERNS_MAX} patterns at most"), "");
    }
    for text in texts {
        if text.value.is_empty() || text.value.len() > 256 || text.value.chars().any(char::is_whitespace) {
            let said = format!("`{}` is no pattern of workloads", text.value.escape_debug());
            judge.error(text.place, said, "write namespace/owner, where `*` stands for anything: shop/*");
        }
    }
    texts.iter().take(PATTERNS_MAX).map(|text| text.value.clone()).collect()
}
