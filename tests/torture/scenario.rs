//! The scenarios: a program, a mode of the gate, and the kind of its source.

use crate::program::Program;
use crate::volume::Kubelet;

/// One combination, which runs beside the others.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    /// The application reads what the gate publishes (`--publish`).
    pub(crate) publish: bool,
    /// The source is a volume of this kubelet, or a plain directory.
    pub(crate) kubelet: Option<Kubelet>,
    /// A command of the scenario validates, which can hang, fork and write; otherwise the preset does.
    pub(crate) checker: bool,
}

/// All scenarios.
pub(crate) const SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: "nginx-direct-kubelet",
        program: Program::Nginx,
        publish: false,
        kubelet: Some(Kubelet::New),
        checker: false,
    },
    Scenario { name: "nginx-direct-plain", program: Program::Nginx, publish: false, kubelet: None, checker: true },
    Scenario {
        name: "nginx-publish-kubelet",
        program: Program::Nginx,
        publish: true,
        kubelet: Some(Kubelet::Old),
        checker: false,
    },
    Scenario { name: "nginx-publish-plain", program: Program::Nginx, publish: true, kubelet: None, checker: true },
    Scenario { name: "haproxy-direct-plain", program: Program::Haproxy, publish: false, kubelet: None, checker: false },
    Scenario {
        name: "haproxy-publish-kubelet",
        program: Program::Haproxy,
        publish: true,
        kubelet: Some(Kubelet::New),
        checker: true,
    },
    Scenario {
        name: "gunicorn-direct-kubelet",
        program: Program::Gunicorn,
        publish: false,
        kubelet: Some(Kubelet::Old),
        checker: true,
    },
    Scenario {
        name: "gunicorn-publish-plain",
        program: Program::Gunicorn,
        publish: true,
        kubelet: None,
        checker: true,
    },
];
