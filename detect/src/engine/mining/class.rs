//! The sixteen kinds of evidence for mining, what each weighs, and which ATT&CK techniques it shows.

/// A kind of evidence, numbered as in the project's reference of formats and signals, 2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// A stratum address on a command line.
    StratumUri = 1,
    /// Options only miners have.
    MinerOptions,
    /// A miner's process name.
    MinerName,
    /// Environment variables of miners.
    MinerEnvironment,
    /// A pool's name was looked up.
    PoolLookup,
    /// A connection to a pool.
    PoolConnect,
    /// A connection to a port that pools use.
    PoolPort,
    /// One outbound connection, long and nearly silent.
    QuietFlow,
    /// The host was tuned as miners tune it.
    HostTuning,
    /// CPU that requests do not explain.
    Shape,
    /// A program that the image did not bring.
    DroppedProgram,
    /// Something was made to survive a restart.
    Persistence,
    /// Rivals were killed or defences switched off.
    RivalsKilled,
    /// A miner's or dropper's user agent.
    MinerAgent,
    /// An image that is a miner's.
    MinerImage,
    /// A vendor's own finding.
    VendorFinding,
}

impl Class {
    /// All classes, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::StratumUri,
        Self::MinerOptions,
        Self::MinerName,
        Self::MinerEnvironment,
        Self::PoolLookup,
        Self::PoolConnect,
        Self::PoolPort,
        Self::QuietFlow,
        Self::HostTuning,
        Self::Shape,
        Self::DroppedProgram,
        Self::Persistence,
        Self::RivalsKilled,
        Self::MinerAgent,
        Self::MinerImage,
        Self::VendorFinding,
    ];

    /// The number, 1 to 16.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The name in JSON and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StratumUri => "stratum-uri",
            Self::MinerOptions => "miner-options",
            Self::MinerName => "miner-name",
            Self::MinerEnvironment => "miner-environment",
            Self::PoolLookup => "pool-lookup",
            Self::PoolConnect => "pool-connect",
            Self::PoolPort => "pool-port",
            Self::QuietFlow => "quiet-flow",
            Self::HostTuning => "host-tuning",
            Self::Shape => "cpu-shape",
            Self::DroppedProgram => "dropped-program",
            Self::Persistence => "persistence",
            Self::RivalsKilled => "rivals-killed",
            Self::MinerAgent => "miner-agent",
            Self::MinerImage => "miner-image",
            Self::VendorFinding => "vendor-finding",
        }
    }

    /// ATT&CK techniques.
    pub const fn techniques(self) -> &'static [&'static str] {
        match self {
            Self::StratumUri | Self::MinerOptions | Self::MinerEnvironment => &["T1496.001"],
            Self::MinerName => &["T1496.001", "T1036"],
            Self::PoolLookup => &["T1071.004", "T1496"],
            Self::PoolConnect => &["T1071.001", "T1496"],
            Self::PoolPort | Self::Shape | Self::VendorFinding => &["T1496"],
            Self::QuietFlow => &["T1071"],
            Self::HostTuning => &["T1496", "T1611"],
            Self::DroppedProgram => &["T1105", "T1036", "T1620"],
            Self::Persistence => &["T1053.003", "T1543.002", "T1574.006"],
            Self::RivalsKilled => &["T1562"],
            Self::MinerAgent => &["T1071.001", "T1190"],
            Self::MinerImage => &["T1610", "T1496"],
        }
    }

    /// Whether it names mining itself. Only these count for a workload on the allow list, and only these make a shape a
    /// page before the workload's own ways are known; the others also occur where software is built and kept.
    pub const fn names_mining(self) -> bool {
        matches!(
            self,
            Self::StratumUri
                | Self::MinerOptions
                | Self::MinerName
                | Self::MinerEnvironment
                | Self::PoolLookup
                | Self::PoolConnect
                | Self::VendorFinding
        )
    }
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Indicator {
    /// What kind.
    pub class: Class,
    /// What it weighs when fresh: 8 and above is enough for a page.
    pub weight: f64,
    /// What was seen, at most [`EVIDENCE_BYTES`]. It may hold an attacker's text.
    pub evidence: String,
}

/// The longest evidence kept of one class.
pub const EVIDENCE_BYTES: usize = 160;

impl Indicator {
    pub(crate) fn new(class: Class, weight: f64, what: &str, seen: &str) -> Self {
        let mut evidence = String::with_capacity(EVIDENCE_BYTES.min(what.len() + seen.len() + 2));
        for c in what.chars().chain(": ".chars()).chain(seen.chars()) {
            if evidence.len() + c.len_utf8() > EVIDENCE_BYTES {
                break;
            }
            evidence.push(if c.is_control() { ' ' } else { c });
        }
        Self { class, weight, evidence }
    }
}
