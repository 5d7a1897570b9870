//! The fragments of a control answer put together in memory the caller gives.
//!
//! Datagrams come in any order, twice, and from daemons that cut them differently when asked again; so what is held is the
//! set of octets seen so far, as sorted spans. Memory is bounded on both sides: the buffer bounds the answer,
//! [`MAX_SPANS`] the holes in it. A refused fragment changes nothing.

use super::{ControlErrorCode, ControlHeader, ControlPacket, Opcode};

/// How many separate stretches of an unfinished answer are remembered. `ntpq` gives up at as many fragments.
pub const MAX_SPANS: usize = 32;

/// An answer in the making.
///
/// # Example
/// ```
/// use ntp_proto::control::{emit, Assembly, ControlHeader, ControlPacket, Opcode};
///
/// let request = ControlHeader::request(Opcode::ReadVariables, 7, 0);
/// let mut memory = [0; 64];
/// let mut answer = Assembly::new(&request, &mut memory);
/// // The fragments come in the wrong order.
/// for (offset, has_more, data) in [(8, false, "poll=6"), (0, true, "leap=0, ")] {
///     let mut datagram = [0; 40];
///     let header = ControlHeader { is_response: true, has_more, offset, ..request };
///     let length = emit(&header, data.as_bytes(), &mut datagram).unwrap();
///     answer.handle(&ControlPacket::parse(&datagram[..length]).unwrap())?;
/// }
/// assert_eq!(answer.data(), Some(b"leap=0, poll=6".as_slice()));
/// # Ok::<(), ntp_proto::control::AssemblyError>(())
/// ```
#[derive(Debug)]
pub struct Assembly<'b> {
    opcode: Opcode,
    sequence: u16,
    association: u16,
    buffer: &'b mut [u8],
    spans: Spans,
    total: Option<usize>,
    status: Option<u16>,
}

/// A fragment was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssemblyError {
    /// It is no answer to the request: wait on.
    #[error("not an answer to this request ({field} is {had}, expected {expected})")]
    Unrelated {
        /// Which field differs.
        field: &'static str,
        /// What it should hold.
        expected: u16,
        /// What it holds.
        had: u16,
    },
    /// The daemon refused the request: the end of it.
    #[error("refused: {0}")]
    Refused(ControlErrorCode),
    /// The answer is longer than the memory.
    #[error("answer needs {needed} octets of memory, has {had}")]
    Memory {
        /// Octets needed for this fragment.
        needed: usize,
        /// Octets there.
        had: usize,
    },
    /// More than [`MAX_SPANS`] separate stretches.
    #[error("more than {MAX_SPANS} separate stretches")]
    TooScattered,
    /// An octet was announced twice with different values.
    #[error("octet {offset} differs from an earlier fragment")]
    Conflict {
        /// Where in the answer.
        offset: usize,
    },
    /// It does not agree with another fragment on where the answer ends.
    #[error("fragment ends at octet {end}, the answer at {total}")]
    Length {
        /// Where the later of the fragments ends.
        end: usize,
        /// Where the answer ends according to the last fragment.
        total: usize,
    },
}

impl<'b> Assembly<'b> {
    /// Waits for the answer to `request`, in `buffer`.
    #[must_use]
    pub fn new(request: &ControlHeader, buffer: &'b mut [u8]) -> Self {
        let ControlHeader { opcode, sequence, association, .. } = *request;
        Self { opcode, sequence, association, buffer, spans: Spans::EMPTY, total: None, status: None }
    }

    /// Takes a fragment and says whether the answer is now whole. A duplicate is taken and changes nothing.
    ///
    /// # Errors
    /// [`AssemblyError`]; what was put together so far stands.
    pub fn handle(&mut self, fragment: &ControlPacket<'_>) -> Result<bool, AssemblyError> {
        let header = fragment.header();
        self.check_related(header)?;
        if let Some(code) = header.error() {
            return Err(AssemblyError::Refused(code));
        }
        let start = usize::from(header.offset);
        let end = start + fragment.data().len();
        self.check_end(end, header.has_more)?;
        let spans = self.spans.with(Span { start, end })?;
        self.check_overlap(start, fragment.data())?;
        let had = self.buffer.len();
        let Some(places) = self.buffer.get_mut(start..end) else {
            return Err(AssemblyError::Memory { needed: end, had });
        };
        places.copy_from_slice(fragment.data());
        self.spans = spans;
        self.status.get_or_insert(header.status);
        if !header.has_more {
            self.total = Some(end);
        }
        Ok(self.is_complete())
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.total.is_some_and(|total| self.spans.cover(total))
    }

    /// The whole answer, once nothing is missing.
    #[must_use]
    pub fn data(&self) -> Option<&[u8]> {
        let total = self.total.filter(|_| self.is_complete())?;
        self.buffer.get(..total)
    }

    /// The status word of the first fragment that came.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        self.status
    }

    fn check_related(&self, header: &ControlHeader) -> Result<(), AssemblyError> {
        let fields = [
            ("response bit", 1, u16::from(header.is_response)),
            ("opcode", u16::from(self.opcode.to_bits()), u16::from(header.opcode.to_bits())),
            ("sequence", self.sequence, header.sequence),
            ("association", self.association, header.association),
        ];
        match fields.into_iter().find(|(_, expected, had)| expected != had) {
            Some((field, expected, had)) => Err(AssemblyError::Unrelated { field, expected, had }),
            None => Ok(()),
        }
    }

    /// All fragments end where the last one says the answer does, or before.
    fn check_end(&self, end: usize, has_more: bool) -> Result<(), AssemblyError> {
        let (end, total) = match self.total {
            Some(total) if end > total => (end, total),
            Some(total) if !has_more && end != total => (total, end),
            None if !has_more && self.spans.end() > end => (self.spans.end(), end),
            _ => return Ok(()),
        };
        Err(AssemblyError::Length { end, total })
    }

    /// Octets that are there already are the same again.
    fn check_overlap(&self, start: usize, data: &[u8]) -> Result<(), AssemblyError> {
        let held = self.buffer.get(start..).unwrap_or_default();
        let mut octets = held.iter().zip(data).zip(start..);
        match octets.find(|((old, new), offset)| old != new && self.spans.contain(*offset)) {
            Some((_, offset)) => Err(AssemblyError::Conflict { offset }),
            None => Ok(()),
        }
    }
}

/// A stretch of octets that are there; never empty inside [`Spans`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
}

/// Stretches in ascending order, with a hole between each two.
#[derive(Debug, Clone, Copy)]
struct Spans {
    places: [Span; MAX_SPANS],
    count: usize,
}

impl Spans {
    const EMPTY: Self = Self { places: [Span { start: 0, end: 0 }; MAX_SPANS], count: 0 };

    fn as_slice(&self) -> &[Span] {
        self.places.get(..self.count).unwrap_or_default()
    }

    /// These and one more, grown together with those it touches.
    fn with(&self, mut new: Span) -> Result<Self, AssemblyError> {
        if new.start == new.end {
            return Ok(*self);
        }
        let mut spans = Self::EMPTY;
        let mut is_placed = false;
        for &span in self.as_slice() {
            if span.end < new.start {
                spans.push(span)?;
            } else if span.start > new.end {
                if !is_placed {
                    spans.push(new)?;
                    is_placed = true;
                }
                spans.push(span)?;
            } else {
                new = Span { start: new.start.min(span.start), end: new.end.max(span.end) };
            }
        }
        if !is_placed {
            spans.push(new)?;
        }
        Ok(spans)
    }

    fn push(&mut self, span: Span) -> Result<(), AssemblyError> {
        let place = self.places.get_mut(self.count).ok_or(AssemblyError::TooScattered)?;
        *place = span;
        self.count += 1; // below MAX_SPANS
        Ok(())
    }

    /// Where the last stretch ends.
    fn end(&self) -> usize {
        self.as_slice().last().map_or(0, |span| span.end)
    }

    fn contain(&self, offset: usize) -> bool {
        self.as_slice().iter().any(|span| (span.start..span.end).contains(&offset))
    }

    /// Whether every octet below `total` is there.
    fn cover(&self, total: usize) -> bool {
        match self.as_slice() {
            [] => total == 0,
            [span] => *span == Span { start: 0, end: total },
            _ => false,
        }
    }
}
