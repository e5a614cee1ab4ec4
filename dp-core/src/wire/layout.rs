//! How a header file states its layout, so that every view is built alike.
//!
//! A header is written down as a table of [`At`] (a whole-byte field: offset and type) and
//! [`Bits`] (a field inside a 1-, 2- or 4-byte word: offset and mask). The macros [`view!`] and
//! [`fields!`] turn such a table into the view type, its two constructors and its accessors.
//! One place therefore decides what happens at the end of a buffer, for all protocols.
//!
//! # Invariants
//! Reads and writes are total: past the end of the buffer a read gives zero and a write does
//! nothing. The constructors make sure that neither happens to a fixed field; this is the second
//! line, for a buffer type whose `as_ref` is not constant.

use crate::base::MacAddr;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A field of whole bytes that begins `.0` bytes into the header.
pub(super) struct At<V>(usize, PhantomData<V>);

impl<V: Value> At<V> {
    pub(super) const fn new(offset: usize) -> Self {
        Self(offset, PhantomData)
    }

    pub(super) fn get(self, bytes: &[u8]) -> V {
        V::read(bytes.get(self.0..).unwrap_or_default())
    }

    pub(super) fn set(self, bytes: &mut [u8], value: V) {
        value.write(bytes.get_mut(self.0..).unwrap_or_default());
    }
}

/// A field of some bits of the big-endian word of `width` bytes that begins at `offset`.
pub(super) struct Bits<V> {
    offset: usize,
    width: usize,
    mask: u32,
    value: PhantomData<V>,
}

impl<V: Small> Bits<V> {
    /// Bits of the byte at `offset`.
    pub(super) const fn in_u8(offset: usize, mask: u8) -> Self {
        Self { offset, width: 1, mask: mask as u32, value: PhantomData }
    }

    /// Bits of the two bytes at `offset`.
    pub(super) const fn in_u16(offset: usize, mask: u16) -> Self {
        Self { offset, width: 2, mask: mask as u32, value: PhantomData }
    }

    /// Bits of the four bytes at `offset`.
    pub(super) const fn in_u32(offset: usize, mask: u32) -> Self {
        Self { offset, width: 4, mask, value: PhantomData }
    }

    pub(super) fn get(self, bytes: &[u8]) -> V {
        V::from_bits((self.word(bytes) & self.mask) >> self.mask.trailing_zeros())
    }

    /// Writes the low bits of `value`; those that do not fit into the field are dropped.
    pub(super) fn set(self, bytes: &mut [u8], value: V) {
        let bits = (value.to_bits() << self.mask.trailing_zeros()) & self.mask;
        let word = self.word(bytes) & !self.mask | bits;
        let target = bytes.get_mut(self.offset..).unwrap_or_default();
        let [a, b, c, d] = word.to_be_bytes();
        match self.width {
            1 => put(target, [d]),
            2 => put(target, [c, d]),
            _ => put(target, [a, b, c, d]),
        }
    }

    fn word(&self, bytes: &[u8]) -> u32 {
        let source = bytes.get(self.offset..).unwrap_or_default();
        match self.width {
            1 => u8::read(source).into(),
            2 => u16::read(source).into(),
            _ => u32::read(source),
        }
    }
}

/// What can stand in whole bytes of a header.
pub(super) trait Value {
    fn read(bytes: &[u8]) -> Self;
    fn write(self, bytes: &mut [u8]);
}

/// What can stand in some bits of a word.
pub(super) trait Small {
    fn from_bits(bits: u32) -> Self;
    fn to_bits(self) -> u32;
}

fn take<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

fn put<const N: usize>(bytes: &mut [u8], value: [u8; N]) {
    if let Some(target) = bytes.first_chunk_mut() {
        *target = value;
    }
}

impl<const N: usize> Value for [u8; N] {
    fn read(bytes: &[u8]) -> Self {
        take(bytes)
    }
    fn write(self, bytes: &mut [u8]) {
        put(bytes, self);
    }
}

impl Value for MacAddr {
    fn read(bytes: &[u8]) -> Self {
        Self(take(bytes))
    }
    fn write(self, bytes: &mut [u8]) {
        put(bytes, self.0);
    }
}

impl Value for Ipv4Addr {
    fn read(bytes: &[u8]) -> Self {
        Self::from(take::<4>(bytes))
    }
    fn write(self, bytes: &mut [u8]) {
        put(bytes, self.octets());
    }
}

impl Value for Ipv6Addr {
    fn read(bytes: &[u8]) -> Self {
        Self::from(take::<16>(bytes))
    }
    fn write(self, bytes: &mut [u8]) {
        put(bytes, self.octets());
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Value for $number {
            fn read(bytes: &[u8]) -> Self {
                Self::from_be_bytes(take(bytes))
            }
            fn write(self, bytes: &mut [u8]) {
                put(bytes, self.to_be_bytes());
            }
        }
    )*};
}
numbers!(u8, u16, u32, u64);

impl Small for bool {
    fn from_bits(bits: u32) -> Self {
        bits != 0
    }
    fn to_bits(self) -> u32 {
        self.into()
    }
}

impl Small for u32 {
    fn from_bits(bits: u32) -> Self {
        bits
    }
    fn to_bits(self) -> u32 {
        self
    }
}

// The masks keep the value inside the type: a field of type `u8` has a mask of at most 8 bits.
impl Small for u8 {
    fn from_bits(bits: u32) -> Self {
        bits as Self
    }
    fn to_bits(self) -> u32 {
        self.into()
    }
}

impl Small for u16 {
    fn from_bits(bits: u32) -> Self {
        bits as Self
    }
    fn to_bits(self) -> u32 {
        self.into()
    }
}

/// Makes a number newtype that may hold any value and names the known ones.
macro_rules! codes {
    (
        $(#[$doc:meta])*
        $name:ident($number:ty) { $($(#[$code_doc:meta])* $code:ident = $value:expr;)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(pub $number);

        impl $name {
            $($(#[$code_doc])* pub const $code: Self = Self($value);)*
        }

        impl From<$number> for $name {
            fn from(number: $number) -> Self {
                Self(number)
            }
        }

        impl From<$name> for $number {
            fn from(code: $name) -> Self {
                code.0
            }
        }

        impl $crate::wire::layout::Value for $name {
            fn read(bytes: &[u8]) -> Self {
                Self(<$number as $crate::wire::layout::Value>::read(bytes))
            }
            fn write(self, bytes: &mut [u8]) {
                $crate::wire::layout::Value::write(self.0, bytes);
            }
        }
    };
}

/// Makes the view type: a buffer, its constructors, and what every view can do.
///
/// The file itself supplies `fn check_len(&self) -> Result<(), Error>`, which judges the length
/// fields once the fixed header is known to be there.
macro_rules! view {
    ($(#[$doc:meta])* $name:ident, $min:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name<T> {
            buffer: T,
        }

        impl<T: AsRef<[u8]>> $name<T> {
            /// Views received bytes, once every length has been verified.
            ///
            /// # Errors
            /// [`Error::Truncated`] if the buffer ends too early, and what else the lengths and
            /// versions inside the header deserve.
            pub fn new_checked(buffer: T) -> Result<Self, Error> {
                let view = Self::new_output(buffer)?;
                view.check_len()?;
                Ok(view)
            }

            /// Views bytes that are about to be written, whatever they hold now.
            ///
            /// # Errors
            /// [`Error::Truncated`] if the fixed part of the header has no room.
            pub fn new_output(buffer: T) -> Result<Self, Error> {
                if buffer.as_ref().len() < $min {
                    return Err(Error::Truncated);
                }
                Ok(Self { buffer })
            }

            /// Gives the buffer back.
            pub fn into_inner(self) -> T {
                self.buffer
            }

            fn bytes(&self) -> &[u8] {
                self.buffer.as_ref()
            }

            /// The bytes from `start` up to `end`, as far as the buffer has them.
            #[allow(dead_code, reason = "a view of fixed size has no use for it")]
            fn span(&self, start: usize, end: usize) -> &[u8] {
                let bytes = self.bytes();
                bytes.get(start..end.min(bytes.len())).unwrap_or_default()
            }
        }

        impl<T: AsRef<[u8]> + AsMut<[u8]>> $name<T> {
            fn bytes_mut(&mut self) -> &mut [u8] {
                self.buffer.as_mut()
            }

            /// As [`Self::span`], to write.
            #[allow(dead_code, reason = "a view of fixed size has no use for it")]
            fn span_mut(&mut self, start: usize, end: usize) -> &mut [u8] {
                let bytes = self.bytes_mut();
                let end = end.min(bytes.len());
                bytes.get_mut(start..end).unwrap_or_default()
            }

            /// The first `len` bytes, all to be written by an `emit`.
            #[allow(dead_code, reason = "a view without a representation does not emit")]
            fn room(&mut self, len: usize) -> Result<&mut [u8], Error> {
                self.bytes_mut().get_mut(..len).ok_or(Error::Truncated)
            }
        }
    };
}

/// Makes the accessors of a view: one line of the table is a getter, a setter and a field.
macro_rules! fields {
    ($view:ident { $($(#[$doc:meta])* $get:ident, $set:ident: $value:ty = $field:expr;)* }) => {
        impl<T: AsRef<[u8]>> $view<T> {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $get(&self) -> $value {
                    $field.get(self.bytes())
                }
            )*
        }

        impl<T: AsRef<[u8]> + AsMut<[u8]>> $view<T> {
            $(
                #[doc = concat!("Writes what [`Self::", stringify!($get), "`] reads.")]
                pub fn $set(&mut self, value: $value) {
                    $field.set(self.bytes_mut(), value);
                }
            )*
        }
    };
}

pub(super) use {codes, fields, view};

#[cfg(test)]
mod tests;
