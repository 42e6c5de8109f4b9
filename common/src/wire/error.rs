//! Why a body was refused.

/// A body that is not what it should be. Nothing of it was used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Longer than any body may be.
    #[error("the body has {bytes} bytes; at most {max} are accepted")]
    TooLarge {
        /// Bytes found.
        bytes: usize,
        /// Bytes accepted.
        max: usize,
    },
    /// It ends inside a field.
    #[error("the body ends early: {field} needs {needed} bytes, {left} are left")]
    Truncated {
        /// The field that was being read.
        field: &'static str,
        /// Bytes that the field needs.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// It doesn't begin as Roundtable's bodies do.
    #[error("the body does not begin with the magic bytes {:?}", super::frame::MAGIC.escape_ascii().to_string())]
    Magic,
    /// It is of a format version that this program doesn't know.
    #[error(
        "the body has format version {found}; this program knows version {}",
        super::frame::FORMAT_VERSION
    )]
    Version {
        /// The version in the body.
        found: u16,
    },
    /// It is another kind of body.
    #[error("the body is of kind {found}; kind {expected} was expected")]
    Kind {
        /// The kind in the body.
        found: u8,
        /// What was expected.
        expected: &'static str,
    },
    /// It doesn't have the length that it states.
    #[error("the body states a payload of {stated} bytes and has {found}")]
    Length {
        /// Bytes stated.
        stated: u32,
        /// Bytes found.
        found: usize,
    },
    /// Its bytes were changed on the way.
    #[error("the body's checksum is {found:016x}, its bytes give {computed:016x}")]
    Checksum {
        /// The checksum in the body.
        found: u64,
        /// The checksum of the body's bytes.
        computed: u64,
    },
    /// A field has a value that it can't have.
    #[error("{field} is {found}; accepted: {accepted}")]
    Field {
        /// The field.
        field: &'static str,
        /// The value, or its length.
        found: u64,
        /// What would have been accepted.
        accepted: &'static str,
    },
    /// A text field isn't UTF-8, or isn't the identifier that it should be.
    #[error("{field} is not well-formed")]
    Text {
        /// The field.
        field: &'static str,
    },
    /// Bytes follow the last field.
    #[error("{bytes} bytes follow the last field")]
    Trailing {
        /// How many.
        bytes: usize,
    },
}
