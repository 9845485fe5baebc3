//! Settings of blocks, and of the blocks around them.

use super::Checker;
use crate::directives::Contexts;
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem, SourceSpan};
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::variables::Variables;
use crate::values::hash_keys::HashSizes;
use crate::values::numbers;

impl<'s> Checker<'s> {
    /// The variables of the protocol that a block belongs to.
    pub(crate) fn variables(&mut self, block: BlockId) -> &mut Variables<'s> {
        let stream = Contexts::STREAM | Contexts::STREAM_SERVER | Contexts::STREAM_UPSTREAM;
        if self.blocks[block].context.intersects(stream) {
            &mut self.stream.variables
        } else {
            &mut self.http.variables
        }
    }

    /// Takes the first setting of a directive in its block, and refuses any other.
    pub(crate) fn once(&mut self, directive: &Directive<'s>, block: BlockId) -> Checked {
        let names = same_field(directive.known());
        let own = self.blocks.get(block, directive.known());
        if let Some(first) = own.or_else(|| names.iter().find_map(|name| self.blocks.get(block, name))) {
            let help = if first.word(0) == directive.word(0) {
                format!("it is set already on line {}", first.line())
            } else {
                format!("`{}` on line {} sets it already", first.name(), first.line())
            };
            let problem = directive.problem(
                0,
                codes::DUPLICATE_DIRECTIVE,
                format!("\"{}\" directive is duplicate", directive.name()),
            );
            return Err(Box::new(problem.help(help)));
        }
        self.blocks.set_first(block, directive);
        Ok(())
    }

    /// True if a value of a directive comes for the first time in its block.
    pub(crate) fn is_new(&mut self, directive: &Directive<'s>, block: BlockId, value: &[u8]) -> bool {
        self.values.insert((block, directive.known(), value.to_vec()))
    }

    /// True if a value of a directive has come before in its block.
    pub(crate) fn has_value(&self, directive: &Directive<'s>, block: BlockId, value: &[u8]) -> bool {
        self.values.contains(&(block, directive.known(), value.to_vec()))
    }

    /// The setting of a directive that holds in a block: its own, or that of the nearest block around it.
    pub(crate) fn effective(&self, block: BlockId, name: &str) -> Option<&Directive<'s>> {
        let mut next = Some(block);
        while let Some(at) = next {
            if let Some(found) = self.blocks.get(at, name) {
                return Some(found);
            }
            next = self.blocks[at].parent();
        }
        None
    }

    /// The block whose lines of a directive hold in a block: itself, or the nearest block around it that has some.
    pub(crate) fn lines_from(&self, block: BlockId, name: &str) -> Option<BlockId> {
        let mut around = std::iter::successors(Some(block), |at| self.blocks[*at].parent());
        around.find(|at| self.blocks.has_lines(*at, name))
    }

    /// The lines of a directive that hold in a block.
    pub(crate) fn effective_list(&self, block: BlockId, name: &str) -> impl Iterator<Item = Directive<'s>> {
        self.lines_from(block, name).into_iter().flat_map(move |from| self.blocks.lines(from, name))
    }

    /// The number that a directive sets in a block, if one does.
    pub(crate) fn effective_number(&self, block: BlockId, name: &str) -> Option<i64> {
        self.effective(block, name).and_then(|set| numbers::number(set.word(1)))
    }

    /// The sizes of a hash in a block, as `NAME_max_size` and `NAME_bucket_size` set them.
    pub(crate) fn hash_sizes(&self, block: BlockId, name: &'static str) -> HashSizes {
        let number = |size| self.effective_number(block, &format!("{name}_{size}"));
        HashSizes::new(name, number("max_size"), number("bucket_size"))
    }

    /// Refuses the sizes of a hash with which it cannot be built, or a key that does not fit.
    pub(crate) fn check_hash(&self, sizes: &HashSizes, keys: &[&[u8]], spot: SourceSpan) -> Checked {
        let key = || keys.iter().find_map(|key| sizes.complaint_about(key));
        match sizes.complaint(self.options.version).or_else(key) {
            Some(complaint) => Err(Box::new(Problem::error(codes::HASH_BUCKET_SIZE, complaint, spot))),
            None => Ok(()),
        }
    }

    /// Opens a block within another.
    pub(crate) fn open(&mut self, context: Contexts, parent: BlockId) -> BlockId {
        self.blocks.open(context, parent)
    }

    /// True if a directive whose name fits is in use anywhere.
    pub(crate) fn uses(&self, fits: impl Fn(&[u8]) -> bool) -> bool {
        self.rows.keys().any(|name| fits(name))
    }
}

/// The directives which set the same field of nginx's configuration as this one, because one has replaced the other.
fn same_field(name: &str) -> &'static [&'static str] {
    match name {
        "open_file_cache_retest" | "open_file_cache_valid" => &["open_file_cache_retest", "open_file_cache_valid"],
        "optimize_server_names" | "server_name_in_redirect" => &["optimize_server_names", "server_name_in_redirect"],
        "proxy_buffer_size" | "proxy_downstream_buffer" | "proxy_upstream_buffer" => {
            &["proxy_buffer_size", "proxy_downstream_buffer", "proxy_upstream_buffer"]
        }
        "satisfy" | "satisfy_any" => &["satisfy", "satisfy_any"],
        _ => &[],
    }
}
