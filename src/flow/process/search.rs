//! Searches for the target before it is needed, so that none lies between a verdict and its signal. IO: reads /proc, beside the event loop.
//!
//! A search looks at every process, since a second family must never be overlooked. Its result holds as long as no process that was made
//! afterwards is alive, if it has been found twice: a process that is forked just before a search may execute another program just after
//! it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Selector, Target, TargetError};
use crate::sys::proc::{NewestProcess, have_ended};
use crate::sys::worker::{self, Work, WorkKind};

/// Time limit of a search.
const SEARCH: Duration = Duration::from_secs(10);
/// Time between two searches with the same result, after which that holds until a process is made.
const CALM: Duration = Duration::from_millis(500);
/// Time for which a result holds that was found once, if no process is made.
const FRESH: Duration = Duration::from_secs(1);
/// Time for which a result holds that was found beside the validation, whatever was made since: a checker is a process too.
const PARALLEL: Duration = Duration::from_millis(100);

/// The searches for the target of one gate. Clones share them.
#[derive(Clone, Debug)]
pub struct TargetSearches(Rc<Searches>);

#[derive(Debug)]
struct Searches {
    selector: Arc<Selector>,
    /// `None` where the kernel does not tell the newest process: then each reload needs a search.
    newest: Option<NewestProcess>,
    last: RefCell<Option<FinishedSearch>>,
    /// One that was begun before its result is needed.
    begun: RefCell<Option<Work<FinishedSearch>>>,
    /// The time of the search that confirms the last one.
    confirmation: Cell<Option<Instant>>,
    /// The time at which the newest change was noticed.
    noticed: Cell<Option<Instant>>,
}

/// A search that has ended.
#[derive(Debug)]
struct FinishedSearch {
    found: Result<Target, TargetError>,
    at: Instant,
    /// The newest process just before, and the time since which searches have found the same with no newer one.
    newest: Option<i32>,
    since: Instant,
}

impl Selector {
    /// Finds the process as [`Selector::find`] does, beside the event loop: there may be thousands of processes, and a file of a process id
    /// may lie anywhere.
    ///
    /// # Errors
    /// As [`Selector::find`], and when the search does not end in time.
    pub async fn search(&self) -> Result<Target, TargetError> {
        let selector = self.clone();
        let found = worker::run(WorkKind::Files, SEARCH, move || selector.find()).await;
        found.unwrap_or_else(|error| Err(self.not_looked_for(&error.to_string())))
    }
}

impl TargetSearches {
    /// Searches by these criteria; nothing is known yet.
    #[must_use]
    pub fn new(selector: Selector) -> Self {
        Self(Rc::new(Searches {
            selector: Arc::new(selector),
            newest: NewestProcess::open(),
            last: RefCell::default(),
            begun: RefCell::default(),
            confirmation: Cell::default(),
            noticed: Cell::default(),
        }))
    }

    /// The criteria.
    #[must_use]
    pub fn selector(&self) -> &Selector {
        &self.0.selector
    }

    /// Records that a change was noticed: a search from now on is made for it.
    pub fn notice(&self) {
        self.0.noticed.set(Some(Instant::now()));
    }

    /// Begins a search if the target would not be known at this moment: it will be needed soon.
    pub fn expect(&self) {
        self.0.collect();
        if !self.0.selector.is_empty() && self.0.begun.borrow().is_none() && self.0.known().is_none() {
            self.0.begin();
        }
    }

    /// Begins a search if the target would not be known after a command that begins now: a command is a process too, and what was known
    /// before does not hold any more.
    pub fn expect_after_command(&self) {
        self.0.collect();
        if !self.0.selector.is_empty() && self.0.begun.borrow().is_none() && !self.0.is_fresh() {
            self.0.begin();
        }
    }

    /// Begins the search that confirms the last one, if it is due.
    pub fn confirm(&self) {
        self.0.collect();
        if self.0.confirmation.take().is_some() && self.0.begun.borrow().is_none() {
            self.0.begin();
        }
    }

    /// The time at which to call [`TargetSearches::confirm`].
    #[must_use]
    pub fn confirmation(&self) -> Option<Instant> {
        self.0.confirmation.get()
    }

    /// Returns the target if it is known at this moment.
    #[must_use]
    pub fn known(&self) -> Option<Target> {
        self.0.collect();
        self.0.known()
    }

    /// Returns the target, without a search if it is known.
    ///
    /// # Errors
    /// As [`Selector::search`].
    pub async fn find(&self) -> Result<Target, TargetError> {
        if let Some(target) = self.known() {
            return Ok(target);
        }
        let begun = self.0.begun.take();
        if let Some(mut work) = begun
            && let Ok(search) = work.result(SEARCH).await
        {
            let _ = self.0.keep(search);
            if let Some(target) = self.0.known() {
                return Ok(target);
            }
        }
        self.search().await
    }

    /// Returns the target as [`TargetSearches::find`] does, and makes sure that it is alive. A signal needs no such look: it goes to that very
    /// process, or fails.
    ///
    /// # Errors
    /// As [`Selector::search`].
    pub async fn living(&self) -> Result<Target, TargetError> {
        match self.find().await {
            Ok(target) if target.has_ended() => self.search().await,
            found => found,
        }
    }

    /// Searches anew, whatever is known.
    ///
    /// # Errors
    /// As [`Selector::search`].
    pub async fn search(&self) -> Result<Target, TargetError> {
        let mut work = self.0.work();
        match work.result(SEARCH).await {
            Ok(search) => self.0.keep(search),
            Err(error) => Err(self.0.selector.not_looked_for(&error.to_string())),
        }
    }

    /// Forgets what is known: the process has ended.
    pub fn forget(&self) {
        self.0.last.take();
        self.0.begun.take();
        self.0.confirmation.take();
    }
}

impl Searches {
    fn work(&self) -> Work<FinishedSearch> {
        let (selector, newest, at) = (self.selector.clone(), self.newest_process(), Instant::now());
        worker::begin(WorkKind::Files, move || FinishedSearch { found: selector.find(), at, newest, since: at })
    }

    fn begin(&self) {
        *self.begun.borrow_mut() = Some(self.work());
    }

    fn newest_process(&self) -> Option<i32> {
        self.newest.as_ref()?.number()
    }

    /// Takes in a search that was begun and has ended.
    fn collect(&self) {
        let ended = self.begun.borrow_mut().as_mut().and_then(Work::ended);
        if let Some(ended) = ended {
            self.begun.take();
            ended.into_iter().for_each(|search| _ = self.keep(search));
        }
    }

    /// Keeps the result of a search unless a later one has ended, and returns it. A process that is found again keeps its handles.
    fn keep(&self, mut search: FinishedSearch) -> Result<Target, TargetError> {
        let before = self.last.take();
        if let (Ok(found), Some(Ok(known))) = (&mut search.found, before.as_ref().map(|before| &before.found))
            && found.identity() == known.identity()
        {
            found.clone_from(known);
        }
        let found = search.found.clone();
        if before.as_ref().is_some_and(|before| before.at > search.at) {
            self.last.replace(before);
            return found;
        }
        if let Some(before) = before.filter(|before| before.is_like(&search)) {
            search.since = before.since;
        }
        // A file of a process id may be written anew at any time.
        let may_hold = search.found.is_ok() && search.newest.is_some() && self.selector.pid_file.is_none();
        let confirmation = (may_hold && !search.is_confirmed()).then(|| search.since + CALM);
        self.confirmation.set(confirmation);
        *self.last.borrow_mut() = Some(search);
        found
    }

    /// Returns true if the last search was made for the newest change.
    fn is_fresh(&self) -> bool {
        self.last.borrow().as_ref().is_some_and(|last| last.found.is_ok() && self.was_for_change(last))
    }

    fn was_for_change(&self, search: &FinishedSearch) -> bool {
        search.at.elapsed() <= PARALLEL && self.noticed.get().is_some_and(|noticed| search.at >= noticed)
    }

    /// Returns the target of the last search, if that still holds.
    fn known(&self) -> Option<Target> {
        let mut last = self.last.borrow_mut();
        let last = last.as_mut()?;
        let target = last.found.as_ref().ok()?.clone();
        if self.was_for_change(last) {
            return Some(target);
        }
        let age = last.at.elapsed();
        let holds = self.selector.pid_file.is_none() && (age <= FRESH || last.is_confirmed());
        let (before, newest) = (last.newest.filter(|_| holds)?, self.newest_process()?);
        if before != newest && !have_ended(before, newest) {
            return None;
        }
        last.newest = Some(newest);
        Some(target)
    }
}

impl FinishedSearch {
    fn is_like(&self, other: &Self) -> bool {
        let identity = |search: &Self| search.found.as_ref().ok().map(Target::identity);
        self.newest.is_some()
            && self.newest == other.newest
            && identity(self).is_some()
            && identity(self) == identity(other)
    }

    fn is_confirmed(&self) -> bool {
        self.at.saturating_duration_since(self.since) >= CALM
    }
}
