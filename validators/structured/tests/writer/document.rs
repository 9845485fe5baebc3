//! A scalar somewhere in a document.

use super::{Dice, Pen, Way, block, flow, json_string};

/// The way from a node to one in it.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Key(String),
    Item(usize),
}

/// A text with a scalar in it.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) text: String,
    /// Where the scalar is in the tree.
    pub(crate) path: Vec<Step>,
    /// Where each of its characters is in the text.
    pub(crate) marks: Vec<usize>,
}

/// Writes YAML with the scalar in it.
pub(crate) fn yaml(text: &str, way: Way, rolls: &[u8]) -> Document {
    let mut pen = pen(rolls);
    let mut path = Vec::new();
    if pen.dice.rarely(6) {
        pen.out.push_str(["# a | comment", "%YAML 1.2", "\u{feff}# marked"][pen.dice.roll(3)]);
        pen.out.push_str(pen.eol);
        pen.out.push_str("---");
        pen.out.push_str(pen.eol);
    }
    let depth = pen.dice.roll(5);
    let in_flow = !matches!(way, Way::Literal | Way::Folded) && pen.dice.rarely(4);
    // The columns of the collections that are open, and whether they are lists.
    let mut open: Vec<(usize, bool)> = Vec::new();
    for level in 0..depth {
        let (parent, in_list) = open.last().copied().unwrap_or((0, false));
        let is_list = pen.dice.roll(2) == 1;
        let column = if level == 0 {
            0
        } else if in_list {
            // Within a list it begins on the same line.
            parent + 2
        } else {
            let least = usize::from(!is_list);
            let column = parent + least + pen.dice.roll(4);
            pen.new_line(column);
            column
        };
        open.push((column, is_list));
        enter(&mut pen, &mut path, column, is_list);
    }
    let parent = open.last().map_or(0, |(column, _)| *column);
    if depth == 0 && !pen.out.is_empty() && pen.dice.rarely(2) {
        // The scalar on the line of the marker.
        pen.out.truncate(pen.out.trim_end().len());
    }
    separate(&mut pen);
    if in_flow {
        flow_collection(&mut pen, &mut path, text, way, parent + 1);
    } else {
        scalar(&mut pen, text, way, parent, depth == 0);
    }
    if !matches!(way, Way::Literal | Way::Folded) {
        pen.out.push_str(["", " # | after", " "][pen.dice.roll(3)]);
        pen.out.push_str(pen.eol);
    }
    leave(&mut pen, &open);
    Document { text: pen.out, path, marks: pen.marks }
}

fn pen(rolls: &[u8]) -> Pen<'_> {
    let mut dice = Dice::new(rolls);
    let eol = if dice.rarely(3) { "\r\n" } else { "\n" };
    Pen { out: String::new(), eol, dice, marks: Vec::new() }
}

/// The beginning of a list or mapping, with other entries before the one that matters.
fn enter(pen: &mut Pen<'_>, path: &mut Vec<Step>, column: usize, is_list: bool) {
    let before = pen.dice.roll(3);
    for index in 0..before {
        let entry = if is_list { "- x # |".to_owned() } else { format!("\"k|{index}\": 'é > x'") };
        pen.out.push_str(&entry);
        pen.new_line(column);
    }
    if is_list {
        path.push(Step::Item(before));
        // The space that separates is part of the list's own column for what begins on the same line.
        pen.out.push_str("- ");
    } else {
        let key = ["key", "ü: x", "a|b"][pen.dice.roll(3)];
        path.push(Step::Key(key.to_owned()));
        pen.out.push_str(&if key.contains(' ') { format!("'{key}':") } else { format!("{key}:") });
    }
}

/// The text between a key or marker and a scalar.
fn separate(pen: &mut Pen<'_>) {
    if !pen.out.is_empty() && !pen.out.ends_with([' ', '\n']) {
        pen.out.push(' ');
    }
    let properties = ["", "", "", "", "&a|b ", "!!str ", "!<tag:x,2000:y> &é|> "][pen.dice.roll(7)];
    pen.out.push_str(properties);
}

fn scalar(pen: &mut Pen<'_>, text: &str, way: Way, parent: usize, alone: bool) {
    match way {
        Way::Literal | Way::Folded => block(pen, text, way, parent),
        _ => {
            let indent = parent + usize::from(!alone) + pen.dice.roll(3);
            flow(pen, text, way, indent.max(1));
        }
    }
}

fn flow_collection(pen: &mut Pen<'_>, path: &mut Vec<Step>, text: &str, way: Way, indent: usize) {
    let is_list = pen.dice.roll(2) == 1;
    pen.out.push_str(if is_list { "[x, " } else { "{x: y, k: " });
    path.push(if is_list { Step::Item(1) } else { Step::Key("k".to_owned()) });
    if pen.dice.rarely(3) {
        pen.new_line(indent);
    }
    flow(pen, text, way, indent);
    pen.out.push_str(if is_list { ", z]" } else { " , z: 1}" });
}

/// Other entries behind the one that matters, in any of what is open.
fn leave(pen: &mut Pen<'_>, open: &[(usize, bool)]) {
    let from = pen.dice.roll(open.len() + 1);
    for (column, is_list) in open[..from].iter().rev() {
        // Text at the column of a list cannot be distinguished from it.
        if open.iter().filter(|(other, _)| other == column).count() > 1 {
            continue;
        }
        pen.spaces(*column);
        pen.out.push_str(if *is_list { "- z" } else { "last: z" });
        pen.out.push_str(pen.eol);
    }
}

/// Writes JSON with the scalar in it, as a value.
pub(crate) fn json(text: &str, rolls: &[u8]) -> Document {
    let mut pen = pen(rolls);
    let mut path = Vec::new();
    let mut close = Vec::new();
    let space = ["", " ", "\n\t", "\r\n  "][pen.dice.roll(4)];
    for _ in 0..=pen.dice.roll(4) {
        let is_list = pen.dice.roll(2) == 1;
        pen.out.push_str(if is_list { "[" } else { "{" });
        pen.out.push_str(space);
        pen.out.push_str(if is_list { "-1.5e3 ,null," } else { "\"\\ud83d\\ude00\":true,\"k\" :" });
        path.push(if is_list { Step::Item(2) } else { Step::Key("k".to_owned()) });
        pen.out.push_str(space);
        close.push(if is_list { "]" } else { "}" });
    }
    json_string(&mut pen, text);
    for bracket in close.iter().rev() {
        pen.out.push_str(space);
        pen.out.push_str(bracket);
    }
    pen.out.push_str(["", "\n"][pen.dice.roll(2)]);
    Document { text: pen.out, path, marks: pen.marks }
}
