use proptest::prelude::*;

use super::*;
use crate::flow::tree::Digest;

fn reported(kind: Kind, content: u8) -> KubernetesInput {
    let event = Event::new(kind).about(Digest::of(&[content])).message("a message");
    KubernetesInput::Reported { gate: "web".into(), event: Box::new(event), at: SystemTime::UNIX_EPOCH }
}

fn names(effects: &[KubernetesEffect]) -> Vec<String> {
    let name = |effect: &KubernetesEffect| match effect {
        KubernetesEffect::Create(made) => format!("create {} of {:?}: {}", made.reason, made.regarding, made.count),
        KubernetesEffect::Count(made) => format!("count {} of {:?}: {}", made.reason, made.regarding, made.count),
        KubernetesEffect::Failing(error) => format!("failing: {error}"),
        KubernetesEffect::Works => "works".into(),
    };
    effects.iter().map(name).collect()
}

#[test]
fn the_same_thing_again_is_counted_and_another_is_another() {
    let mut now = Instant::now();
    let mut announcer = Announcer::new(vec![Regarding::Pod, Regarding::ConfigMap], now);
    let mut step = |now, input| names(&announcer.step(now, input));
    assert_eq!(step(now, reported(Kind::Unchanged, 0)), [""; 0]);
    assert_eq!(step(now, reported(Kind::Rejected, 0)), ["create ConfigRejected of Pod: 1"]);
    assert_eq!(step(now, KubernetesInput::Done(ApiOutcome::Taken)), ["create ConfigRejected of ConfigMap: 1"]);
    assert_eq!(step(now, reported(Kind::Rejected, 0)), [""; 0], "one at a time");
    step(now, reported(Kind::Rejected, 0));
    assert_eq!(step(now, KubernetesInput::Done(ApiOutcome::Taken)), ["count ConfigRejected of Pod: 3"]);
    assert_eq!(
        step(now, KubernetesInput::Done(ApiOutcome::Gone)),
        ["create ConfigRejected of Pod: 3"],
        "it was forgotten"
    );
    assert_eq!(step(now, KubernetesInput::Done(ApiOutcome::Taken)), ["count ConfigRejected of ConfigMap: 3"]);
    assert_eq!(step(now, KubernetesInput::Done(ApiOutcome::Taken)), [""; 0]);
    assert_eq!(step(now, reported(Kind::Rejected, 1)), ["create ConfigRejected of Pod: 1"], "another content");
    step(now, KubernetesInput::Done(ApiOutcome::Taken));
    step(now, KubernetesInput::Done(ApiOutcome::Taken));
    now += SERIES_ENDS;
    assert_eq!(step(now, reported(Kind::Rejected, 1)), ["create ConfigRejected of Pod: 1"], "the series is over");
}

#[test]
fn a_refusal_is_reported_once_and_retried() {
    let mut now = Instant::now();
    let mut announcer = Announcer::new(vec![Regarding::Pod], now);
    announcer.step(now, reported(Kind::Rejected, 0));
    let failed = |text: &str| KubernetesInput::Done(ApiOutcome::Later(RequestError::Unreachable(text.to_owned())));
    assert_eq!(names(&announcer.step(now, failed("403"))), ["failing: the API server cannot be reached: 403"]);
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(announcer.deadline(), Some(now + Duration::from_secs(wait)));
        now += Duration::from_secs(wait);
        assert_eq!(names(&announcer.step(now, KubernetesInput::Tick)), ["create ConfigRejected of Pod: 1"]);
        assert_eq!(names(&announcer.step(now, failed("403"))), [""; 0]);
    }
    now += RETRY.longest;
    announcer.step(now, KubernetesInput::Tick);
    assert_eq!(names(&announcer.step(now, KubernetesInput::Done(ApiOutcome::Taken))), ["works"]);
    assert_eq!(announcer.deadline(), None);
}

#[test]
fn a_refused_event_does_not_block_others() {
    let now = Instant::now();
    let mut announcer = Announcer::new(vec![Regarding::Pod], now);
    announcer.step(now, reported(Kind::Rejected, 0));
    announcer.step(now, reported(Kind::Verified, 0));
    announcer.step(now, KubernetesInput::Done(ApiOutcome::Never(RequestError::Invalid("422".to_owned()))));
    let next = announcer.step(now + RETRY.first, KubernetesInput::Tick);
    assert_eq!(names(&next), ["create ConfigReloaded of Pod: 1"]);
}

#[test]
fn at_the_end_everything_is_tried_once_more() {
    let now = Instant::now();
    let mut announcer = Announcer::new(vec![Regarding::Pod], now);
    announcer.step(now, reported(Kind::Rejected, 0));
    announcer.step(now, KubernetesInput::Done(ApiOutcome::Later(RequestError::Unreachable("down".to_owned()))));
    assert_eq!(announcer.step(now, KubernetesInput::Stop).len(), 1);
    assert!(!announcer.is_done());
    announcer.step(now, KubernetesInput::Done(ApiOutcome::Later(RequestError::Unreachable("down".to_owned()))));
    assert!(announcer.is_done() && announcer.deadline().is_none());
}

#[test]
fn a_note_is_no_longer_than_it_may_be() {
    let event = Event::new(Kind::Rejected).message("ä".repeat(5000));
    let note = note("web", &event);
    assert!(note.len() <= NOTE && note.starts_with("web: ä"), "{}", note.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// However many reports come, one request is in flight, the rate and the memory are bounded, and in the end every remembered report is sent.
    #[test]
    fn no_storm_and_nothing_lost(steps in prop::collection::vec((0..3_u8, 0..100_u8, 0..30_u64), 0..300)) {
        let start = Instant::now();
        let (mut now, mut requests, mut in_flight) = (start, 0_u32, false);
        let mut announcer = Announcer::new(vec![Regarding::Pod], start);
        let kinds = [Kind::Rejected, Kind::Verified, Kind::Recovered];
        let settle = std::iter::repeat_n((3, 0, 10), 300);
        for (kind, content, seconds) in steps.into_iter().chain(settle) {
            let mut effects = match kinds.get(usize::from(kind)) {
                Some(kind) => announcer.step(now, reported(*kind, content)),
                None => announcer.step(now, KubernetesInput::Tick),
            };
            prop_assert!(announcer.step(now, KubernetesInput::Tick).is_empty(), "a spurious tick is a no-op");
            now += Duration::from_secs(seconds);
            for _ in 0..3 {
                let asked = effects.iter().any(|effect| matches!(effect, KubernetesEffect::Create(_) | KubernetesEffect::Count(_)));
                prop_assert!(!(asked && in_flight), "one request at a time");
                in_flight |= asked;
                requests += u32::from(asked);
                let outcome = match content % 7 {
                    0 if kind < 3 => ApiOutcome::Later(RequestError::Unreachable("down".to_owned())),
                    1 if kind < 3 => ApiOutcome::Gone,
                    _ => ApiOutcome::Taken,
                };
                effects = if std::mem::take(&mut in_flight) {
                    announcer.step(now, KubernetesInput::Done(outcome))
                } else {
                    announcer.step(now, KubernetesInput::Tick)
                };
            }
            in_flight |= effects.iter().any(|effect| matches!(effect, KubernetesEffect::Create(_) | KubernetesEffect::Count(_)));
            requests += u32::from(in_flight);
            prop_assert!(announcer.series.len() <= SERIES);
            let elapsed = u32::try_from((now - start).as_secs() / REFILL.as_secs()).expect("it is small");
            prop_assert!(requests <= BURST + elapsed + 1, "{requests} in {elapsed}");
            if std::mem::take(&mut in_flight) {
                announcer.step(now, KubernetesInput::Done(ApiOutcome::Later(RequestError::Unreachable("down".to_owned()))));
            }
        }
        let untold = announcer.series.iter().filter(|series| series.notified < series.announcement.count).count();
        prop_assert_eq!(untold, 0);
    }
}

#[test]
fn no_event_is_without_words() {
    let published = Event::new(Kind::Published).about(Digest::of(b"new"));
    let digest = Digest::of(b"new");
    let expected = format!("web: it is where the application reads it (configuration {})", digest.short());
    assert_eq!(note("web", &published), expected);
}
