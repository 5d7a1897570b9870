//! Lines and numbers as hwclock reads them: C's `fgets` and `scanf`.

/// The next line with its newline, at most 80 octets of it, as `fgets` into 81 takes them; and what follows.
pub(super) fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().take(80).position(|&octet| octet == b'\n').map_or(bytes.len().min(80), |place| place + 1);
    bytes.split_at(end)
}

/// C's `scanf` for the two conversions the file needs, over what is left of a line.
pub(super) struct Scanner<'a>(pub(super) &'a [u8]);

impl Scanner<'_> {
    fn skip_space(&mut self) {
        let space = self.0.iter().take_while(|octet| matches!(octet, b' ' | b'\t'..=b'\r')).count();
        self.advance(space);
    }

    fn advance(&mut self, count: usize) {
        self.0 = self.0.get(count..).unwrap_or_default();
    }

    /// Whether nothing but space is left.
    pub(super) fn is_done(&mut self) -> bool {
        self.skip_space();
        self.0.is_empty()
    }

    fn digits(bytes: &[u8]) -> usize {
        bytes.iter().take_while(|octet| octet.is_ascii_digit()).count()
    }

    fn sign(bytes: &[u8]) -> usize {
        usize::from(matches!(bytes.first(), Some(b'+' | b'-')))
    }

    /// `%ld`: too large a number is the largest.
    pub(super) fn integer(&mut self) -> Option<i64> {
        self.skip_space();
        let sign = Self::sign(self.0);
        let digits = Self::digits(self.0.get(sign..)?);
        if digits == 0 {
            return None;
        }
        let is_negative = self.0.first() == Some(&b'-');
        let value = self.0.iter().skip(sign).take(digits).fold(0_i128, |value, octet| {
            (value * 10 + i128::from(octet - b'0')).min(i128::from(u64::MAX)) // bounded, far beyond an i64
        });
        let value = if is_negative { -value } else { value };
        self.advance(sign + digits);
        Some(i64::try_from(value).unwrap_or(if is_negative { i64::MIN } else { i64::MAX }))
    }

    /// `%lf`, decimal; "inf", "nan" and hexadecimal are no drift and are not read.
    pub(super) fn float(&mut self) -> Option<f64> {
        self.skip_space();
        let sign = Self::sign(self.0);
        let whole = Self::digits(self.0.get(sign..)?);
        let mut length = sign + whole;
        let mut fraction = 0;
        if self.0.get(length) == Some(&b'.') {
            fraction = Self::digits(self.0.get(length + 1..)?);
            if whole + fraction > 0 {
                length += 1 + fraction;
            }
        }
        if whole + fraction == 0 {
            return None;
        }
        let number = length;
        let mut end = length;
        if matches!(self.0.get(length), Some(b'e' | b'E')) {
            let rest = self.0.get(length + 1..).unwrap_or_default();
            let sign = Self::sign(rest);
            let digits = Self::digits(rest.get(sign..).unwrap_or_default());
            length += 1 + sign + digits;
            // glibc takes an "e" without digits as well, and leaves it out of the number.
            end = if digits == 0 { number } else { length };
        }
        let text = core::str::from_utf8(self.0.get(..end)?).ok()?;
        let value: f64 = text.parse().ok()?;
        self.advance(length);
        value.is_finite().then_some(value)
    }
}
