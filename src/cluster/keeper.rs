//! The decision about what a pod stores as the known-good revision. Pure.

use crate::flow::tree::Digest;

/// Next step of a pod with the known-good revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// A store that has begun goes on.
    Same,
    /// This revision has to be stored, in place of another one that may be under way.
    Store(Digest),
    /// A store that is under way ends: the revision is not the newest any more.
    Stop,
}

/// One pod's part in keeping the known-good revision. Each revision is stored once, until another one takes its place.
#[derive(Debug, Default)]
pub struct Keeper {
    stored: Option<Digest>,
}

impl Keeper {
    /// Decides after a change. `running` is what the application is proven to run, `live` the same if it is the newest revision too, and
    /// `proven` the newest revision of the group, if that is proven; a pod without a group proves what it runs.
    pub fn decide(&mut self, running: Option<Digest>, live: Option<Digest>, proven: Option<Digest>) -> Keeping {
        let is_over =
            |stored: &mut Digest| proven != Some(*stored) || running.is_some_and(|running| running != *stored);
        // The object may have another revision by now: one that comes back is stored again.
        let has_ended = self.stored.take_if(is_over).is_some();
        match live.filter(|live| proven == Some(*live) && self.stored != Some(*live)) {
            Some(digest) => {
                self.stored = Some(digest);
                Keeping::Store(digest)
            }
            None if has_ended => Keeping::Stop,
            None => Keeping::Same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests() -> (Option<Digest>, Option<Digest>) {
        (Some(Digest::of(b"three")), Some(Digest::of(b"five")))
    }

    #[test]
    fn a_revision_is_stored_once() {
        let (three, _) = digests();
        let mut keeper = Keeper::default();
        let decisions = [None, three, three, None, three].map(|live| keeper.decide(three, live, three));
        let store = Keeping::Store(Digest::of(b"three"));
        assert_eq!(decisions, [Keeping::Same, store, Keeping::Same, Keeping::Same, Keeping::Same]);
    }

    /// Another pod may have stored what this pod never ran.
    #[test]
    fn a_revision_that_comes_back_is_stored_again() {
        let (three, five) = digests();
        let mut keeper = Keeper::default();
        let decisions = [three, five, three].map(|proven| keeper.decide(three, three, proven));
        let store = Keeping::Store(Digest::of(b"three"));
        assert_eq!(decisions, [store, Keeping::Stop, store]);
    }

    /// A store that the API server does not take is tried again and again: it must not replace a newer one.
    #[test]
    fn a_revision_that_is_not_run_any_more_is_not_stored() {
        let (three, five) = digests();
        let mut keeper = Keeper::default();
        keeper.decide(three, three, three);
        assert_eq!(keeper.decide(five, None, three), Keeping::Stop);
    }
}
