//! 512 requests that stand for all of them: those whose draws are smallest.
//!
//! The draw is a uniform hash of the record's place, so the same requests are kept whoever saw them, in whatever order.
//! Only what is kept is looked at: of a busy service nearly every request costs one comparison.

use beaconfire_model::Request;

use super::sketch::Seed;

/// Requests that are kept.
pub(super) const KEPT: usize = 512;
/// How long an answer took, where nobody says.
const UNTIMED: u32 = u32::MAX;

/// What is kept of a request; hashes of what it does not have are 0. Ordered by all it has, so that equal draws are no
/// matter of luck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asked {
    draw: u64,
    pub(super) path: u32,
    pub(super) query: u32,
    pub(super) agent: u32,
    pub(super) network: u32,
    pub(super) client: u32,
    micros: u32,
    pub(super) asset: bool,
}

impl Asked {
    pub(super) fn of(request: &Request<'_>, draw: u64, seed: &Seed) -> Self {
        let micros = request.duration_micros.map(|micros| u32::try_from(micros).unwrap_or(UNTIMED - 1));
        Self {
            draw,
            path: seed.text(request.path),
            query: seed.text(request.query),
            agent: seed.text(request.user_agent),
            network: request.client.map_or(0, |client| seed.network(client)),
            client: request.client.map_or(0, |client| seed.client(client) as u32),
            micros: micros.unwrap_or(UNTIMED),
            asset: is_asset(request.path),
        }
    }

    /// Seconds.
    pub(super) fn duration(&self) -> Option<f64> {
        (self.micros != UNTIMED).then_some(f64::from(self.micros) / 1e6)
    }
}

/// Whether a path names what belongs to a page: style, script, picture, font.
fn is_asset(path: &str) -> bool {
    const ENDS: [&str; 18] = [
        "css", "js", "mjs", "map", "png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico", "woff",
        "woff2", "ttf", "otf", "mp4", "webm",
    ];
    let end = path.rsplit_once('.').map_or("", |(_, end)| end);
    ENDS.iter().any(|known| end.eq_ignore_ascii_case(known))
}

#[derive(Debug, Clone)]
pub(super) struct Sample {
    held: Vec<Asked>,
    /// Larger draws are left out.
    limit: u64,
}

impl Default for Sample {
    fn default() -> Self {
        Self { held: Vec::new(), limit: u64::MAX }
    }
}

impl Sample {
    #[inline]
    pub(super) fn offer(&mut self, draw: u64, asked: impl FnOnce() -> Asked) {
        if draw <= self.limit {
            self.put(asked());
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if other.limit < self.limit {
            self.limit = other.limit;
            self.held.retain(|asked| asked.draw <= other.limit);
        }
        for asked in &other.held {
            self.offer(asked.draw, || *asked);
        }
    }

    /// Leaves out what is too much, and sorts: then equal contents are equal.
    pub(super) fn settle(&mut self) {
        if self.held.len() > KEPT {
            self.thin();
        }
        self.held.sort_unstable();
    }

    pub(super) fn all(&self) -> &[Asked] {
        &self.held
    }

    pub(super) fn bytes(&self) -> usize {
        self.held.capacity() * size_of::<Asked>()
    }

    fn put(&mut self, asked: Asked) {
        self.held.push(asked);
        if self.held.len() == 2 * KEPT {
            self.thin();
        }
    }

    fn thin(&mut self) {
        let (_, last, _) = self.held.select_nth_unstable(KEPT - 1);
        self.limit = last.draw;
        self.held.truncate(KEPT);
    }
}

/// Of settled ones.
impl PartialEq for Sample {
    fn eq(&self, other: &Self) -> bool {
        (self.limit, &self.held) == (other.limit, &other.held)
    }
}
