//! An array that grows and whose elements never move or go away.
//!
//! Readers need neither lock nor reference count: an element that was there once is there for as
//! long as the array. That makes a table of records readable while others change it, at the price
//! that memory is given back only when the array ends. Each segment is as large as all before it
//! together; fresh memory is zeroed by the system when it is first touched.

use std::sync::OnceLock;

use zerocopy::FromZeros;

/// Elements of the first segment.
const FIRST: usize = 1024;
/// Segments at most: more than 32 bits can name.
const SEGMENTS: usize = 23;

/// A growing array of elements that stay where they are.
#[derive(Debug)]
pub struct Segments<T>([OnceLock<Box<[T]>>; SEGMENTS]);

impl<T> Default for Segments<T> {
    fn default() -> Self {
        Self([const { OnceLock::new() }; SEGMENTS])
    }
}

/// The segment of an element and its place there.
#[inline(always)]
const fn place(index: u32) -> (usize, usize) {
    let index = index as usize;
    let segment = (index / FIRST).checked_ilog2();
    match segment {
        None => (0, index),
        Some(log) => (log as usize + 1, index - (FIRST << log)),
    }
}

impl<T> Segments<T> {
    /// An element, if the array reaches that far.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, index: u32) -> Option<&T> {
        let (segment, at) = place(index);
        self.0.get(segment)?.get()?.get(at)
    }
}

impl<T: FromZeros> Segments<T> {
    /// Makes sure that the array reaches to `index`; `false` if there is no memory.
    #[must_use]
    pub fn reach(&self, index: u32) -> bool {
        let (segment, _) = place(index);
        let Some(cell) = self.0.get(segment) else { return false };
        if cell.get().is_some() {
            return true;
        }
        let len = if segment == 0 { FIRST } else { FIRST << (segment - 1) };
        match <[T]>::new_box_zeroed_with_elems(len) {
            Ok(fresh) => {
                // Another thread may have been first; then this one's memory goes.
                drop(cell.set(fresh));
                true
            }
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Word32;
    use super::{FIRST, Segments, place};

    #[test]
    fn every_index_has_its_own_place() {
        let mut next = (0, 0);
        for index in 0..(FIRST * 9) as u32 {
            let (segment, at) = place(index);
            assert!((segment, at) == next || (segment, at) == (next.0 + 1, 0), "{index}");
            next = (segment, at + 1);
        }
    }

    #[test]
    fn elements_stay_where_they_are() {
        let array: Segments<Word32> = Segments::default();
        assert!(array.get(0).is_none());
        assert!(array.reach(0) && array.reach(5000));
        let first = array.get(0).expect("reached");
        first.set(7);
        assert!(array.reach(70_000));
        assert!(core::ptr::eq(first, array.get(0).expect("reached")));
        assert_eq!(array.get(0).map(Word32::get), Some(7));
        assert_eq!(array.get(5001).map(Word32::get), Some(0));
        assert!(array.get(3000).is_none(), "segments are made when they are asked for");
    }
}
