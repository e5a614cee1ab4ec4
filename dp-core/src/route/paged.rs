//! A vector that is cheap to copy and change a little: pages behind reference counts.
//!
//! A snapshot that readers hold shares all pages but those that were changed since. Copying one
//! counts up a reference per page; changing an element copies its page if somebody else holds it.

use std::sync::Arc;

const PAGE: usize = 256;

/// A vector in shared pages.
#[derive(Clone, Debug)]
pub(super) struct Paged<T> {
    pages: Vec<Arc<[T; PAGE]>>,
}

impl<T> Default for Paged<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T: Clone + Default> Paged<T> {
    /// The element; `None` beyond the last page.
    #[inline(always)]
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.pages.get(index / PAGE).map(|page| &page[index % PAGE])
    }

    /// The element, to be changed; grows as needed.
    pub(super) fn get_mut(&mut self, index: usize) -> &mut T {
        let page = index / PAGE;
        while self.pages.len() <= page {
            self.pages.push(Arc::new(core::array::from_fn(|_| T::default())));
        }
        &mut Arc::make_mut(&mut self.pages[page])[index % PAGE]
    }
}

#[cfg(test)]
mod tests {
    use super::Paged;

    #[test]
    fn a_copy_does_not_see_later_changes() {
        let mut paged = Paged::default();
        *paged.get_mut(1000) = 7;
        let copy = paged.clone();
        *paged.get_mut(1000) = 8;
        *paged.get_mut(3) = 1;
        assert_eq!((copy.get(1000), copy.get(3)), (Some(&7), Some(&0)));
        assert_eq!((paged.get(1000), paged.get(3)), (Some(&8), Some(&1)));
        assert_eq!(paged.get(1024), None);
    }
}
