//! The text of a control answer: `name=value, name="a, b", …`.
//!
//! Read as `ntpq` reads it: commas, blanks and line ends separate; a value in quotes ends at the next quote whatever stands
//! between (there is no escape); any other value ends at a comma or a line end. The octets need not be UTF-8.

use core::str::FromStr;

/// The variables of an answer, in its order.
///
/// # Example
/// ```
/// use ntp_proto::control::Variables;
///
/// let text = b"version=\"ntpd 4.2, (1)\", leap=0,\r\nfiltdelay= 0.10 0.20,\r\nsrchost\r\n";
/// let variables = Variables::new(text);
/// assert_eq!(variables.get("version"), Some(b"ntpd 4.2, (1)".as_slice()));
/// assert_eq!(variables.number::<u8>("leap"), Some(0));
/// assert_eq!(variables.get("filtdelay"), Some(b"0.10 0.20".as_slice()));
/// assert_eq!(variables.clone().count(), 4);
/// ```
#[derive(Debug, Clone)]
pub struct Variables<'a> {
    text: &'a [u8],
    position: usize,
}

/// One variable of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable<'a> {
    /// Its name, without surrounding blanks.
    pub name: &'a [u8],
    /// Its value, without quotes and surrounding blanks; `None` where there is no equals sign.
    pub value: Option<&'a [u8]>,
    /// Whether the value stood in quotes.
    pub is_quoted: bool,
}

/// The text is no list of variables; reading ends there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VariableError {
    /// A quoted value does not end.
    #[error("quote at octet {offset} is not closed")]
    OpenQuote {
        /// Where it opens.
        offset: usize,
    },
    /// Something other than a separator follows a quoted value.
    #[error("octet {offset} follows a closing quote without a separator")]
    AfterQuote {
        /// Where it stands.
        offset: usize,
    },
    /// A value has no name.
    #[error("value without a name at octet {offset}")]
    NoName {
        /// Where its equals sign stands.
        offset: usize,
    },
}

impl<'a> Variables<'a> {
    /// Reads the whole answer's text.
    #[must_use]
    pub const fn new(text: &'a [u8]) -> Self {
        Self { text, position: 0 }
    }

    /// The value of the first variable of that name; `None` when there is none before the text's end or first error.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.clone().map_while(Result::ok).find(|variable| variable.name == name.as_bytes())?.value
    }

    /// The value of the first variable of that name, read as a number or any other type with a text form.
    #[must_use]
    pub fn number<T: FromStr>(&self, name: &str) -> Option<T> {
        core::str::from_utf8(self.get(name)?).ok()?.parse().ok()
    }

    /// Everything not read yet.
    fn rest(&self) -> &'a [u8] {
        self.text.get(self.position..).unwrap_or_default()
    }

    /// Takes octets up to the first that `is_end` accepts, or all.
    fn take_until(&mut self, is_end: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|&octet| is_end(octet)).unwrap_or(rest.len());
        self.position = self.position.saturating_add(length);
        rest.get(..length).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    /// Reads the variable that begins here.
    fn read(&mut self) -> Result<Variable<'a>, VariableError> {
        let name = self.take_until(|octet| matches!(octet, b',' | b'=' | b'\r' | b'\n')).trim_ascii();
        if self.peek() != Some(b'=') {
            return Ok(Variable { name, value: None, is_quoted: false });
        }
        if name.is_empty() {
            return Err(VariableError::NoName { offset: self.position });
        }
        self.position = self.position.saturating_add(1);
        self.take_until(|octet| !is_blank(octet));
        if self.peek() == Some(b'"') {
            let value = self.read_quoted()?;
            return Ok(Variable { name, value: Some(value), is_quoted: true });
        }
        let value = self.take_until(is_separator).trim_ascii();
        Ok(Variable { name, value: Some(value), is_quoted: false })
    }

    fn read_quoted(&mut self) -> Result<&'a [u8], VariableError> {
        let offset = self.position;
        self.position = self.position.saturating_add(1);
        let value = self.take_until(|octet| octet == b'"');
        if self.peek().is_none() {
            return Err(VariableError::OpenQuote { offset });
        }
        self.position = self.position.saturating_add(1);
        self.take_until(|octet| !is_blank(octet));
        match self.peek() {
            Some(octet) if !is_separator(octet) => Err(VariableError::AfterQuote { offset: self.position }),
            _ => Ok(value),
        }
    }
}

impl<'a> Iterator for Variables<'a> {
    type Item = Result<Variable<'a>, VariableError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.take_until(|octet| !is_separator(octet) && !is_blank(octet));
        if self.rest().is_empty() {
            return None;
        }
        let variable = self.read();
        if variable.is_err() {
            self.position = self.text.len();
        }
        Some(variable)
    }
}

impl core::iter::FusedIterator for Variables<'_> {}

/// A blank inside a line.
fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\x0c')
}

fn is_separator(octet: u8) -> bool {
    matches!(octet, b',' | b'\r' | b'\n')
}
