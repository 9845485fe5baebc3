//! The walls between the modules, as data.
