//! Selection by intersection (RFC 5905 §11.2.1): which sources can be right at all.
//!
//! Each source says true time lies in [θ − λ, θ + λ]. The smallest number f of falsetickers is sought for which all
//! but f intervals overlap in [l, u] and no more than f midpoints lie outside. Fewer than half may be false, else there
//! is no answer. The loop is that of erratum 6207: depth is compared with the number of *sources* less f, where the printed
//! skeleton compares with the number of *edges* less the midpoints found; d ≤ f, where step 5 of the text prints d = f. At
//! equal edges a lower end comes before a midpoint before an upper end, so that touching intervals overlap.

use ntp_types::NtpDuration;

use crate::total::sort;

/// One source's interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Midpoint θ.
    pub offset: NtpDuration,
    /// Half width λ: the root distance.
    pub root_distance: NtpDuration,
}

/// One end or midpoint; the scratch that [`intersect`] sorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Edge {
    at: NtpDuration,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Kind {
    Lower,
    #[default]
    Midpoint,
    Upper,
}

/// Where the majority overlaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intersection {
    /// Its lower end l.
    pub low: NtpDuration,
    /// Its upper end u.
    pub high: NtpDuration,
    /// The falsetickers f allowed for when it was found.
    pub allowed: usize,
}

impl Intersection {
    /// Whether a source is a truechimer: its midpoint lies in the intersection.
    #[must_use]
    pub fn contains(&self, candidate: &Candidate) -> bool {
        (self.low..=self.high).contains(&candidate.offset)
    }
}

/// The intersection of more than half of the candidates; `None` when there is no such majority.
///
/// `scratch` must hold three edges a candidate; candidates beyond that are not seen.
///
/// # Example
/// ```
/// use ntp_discipline::rfc5905::selection::{intersect, Candidate, Edge};
/// use ntp_types::NtpDuration;
///
/// let millis = |n: i64| NtpDuration::from_nanos(n * 1_000_000);
/// let source = |offset: i64, distance: i64| Candidate { offset: millis(offset), root_distance: millis(distance) };
/// let sources = [source(1, 10), source(-2, 8), source(3, 12), source(500, 20)];
/// let found = intersect(&sources, &mut [Edge::default(); 12]).unwrap();
/// assert!(found.contains(&sources[0]) && !found.contains(&sources[3]));
/// ```
/// Source: RFC 5905 §11.2.1, erratum 6207.
#[must_use]
pub fn intersect(candidates: &[Candidate], scratch: &mut [Edge]) -> Option<Intersection> {
    let count = candidates.len().min(scratch.len() / 3);
    let edges = scratch.get_mut(..3 * count)?;
    for (place, candidate) in edges.chunks_exact_mut(3).zip(candidates) {
        if let [lower, middle, upper] = place {
            let half = candidate.root_distance.max(NtpDuration::ZERO);
            *lower = Edge { at: candidate.offset - half, kind: Kind::Lower };
            *middle = Edge { at: candidate.offset, kind: Kind::Midpoint };
            *upper = Edge { at: candidate.offset + half, kind: Kind::Upper };
        }
    }
    sort(edges, |a, b| a < b);
    // 2f < m, written without a product.
    for allowed in 0..count.div_ceil(2) {
        let needed = count - allowed;
        let (low, below) = scan(edges.iter(), Kind::Lower, needed)?;
        let (high, above) = scan(edges.iter().rev(), Kind::Upper, needed)?;
        if below + above <= allowed && low < high {
            return Some(Intersection { low, high, allowed });
        }
    }
    None
}

/// The first edge at which `needed` intervals overlap, coming from the side whose ends are `opening`, and the midpoints
/// passed before it. Without such an edge the whole list is passed: more midpoints than any f allows.
fn scan<'a>(edges: impl Iterator<Item = &'a Edge>, opening: Kind, needed: usize) -> Option<(NtpDuration, usize)> {
    let (mut depth, mut midpoints) = (0_usize, 0);
    let mut last = None;
    for edge in edges {
        last = Some(edge.at);
        if edge.kind == Kind::Midpoint {
            midpoints += 1;
        } else if edge.kind == opening {
            depth += 1;
            if depth >= needed {
                return Some((edge.at, midpoints));
            }
        } else {
            depth = depth.saturating_sub(1);
        }
    }
    last.map(|at| (at, midpoints))
}
