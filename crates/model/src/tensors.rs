//! The tensors of a network by name, as files have them.

use crate::network::{Network, Parameters};
use std::mem::take;
use trm_tensor::Shape;

/// A tensor: its name in the reference (TRM_SPEC 11), its shape, its values.
pub type Tensor<'a, V> = (&'a str, Shape, V);

impl Network {
    /// Names and shapes of all tensors: the trained parameters in the order of [`Network::layout`], the first states,
    /// and the puzzle embeddings where there are any.
    pub fn tensor_shapes(&self) -> impl Iterator<Item = (&str, Shape)> {
        self.places().map(|(_, name, shape)| (name, shape))
    }

    /// [`Network::tensor_shapes`] with their values in `p`.
    pub fn tensors<'a>(&'a self, p: &'a Parameters) -> impl Iterator<Item = Tensor<'a, &'a [f32]>> {
        let mut parts: [&[f32]; 4] = [&p.values, &p.h_init, &p.l_init, &p.puzzle_emb];
        self.places().map(move |(part, name, shape)| {
            let (values, rest) = parts[part].split_at(shape.len());
            parts[part] = rest;
            (name, shape, values)
        })
    }

    /// [`Network::tensor_shapes`] with their values in `p`, to be written.
    pub fn tensors_mut<'a>(
        &'a self,
        p: &'a mut Parameters,
    ) -> impl Iterator<Item = Tensor<'a, &'a mut [f32]>> {
        let mut parts: [&mut [f32]; 4] = [
            &mut p.values,
            &mut p.h_init,
            &mut p.l_init,
            &mut p.puzzle_emb,
        ];
        self.places().map(move |(part, name, shape)| {
            let (values, rest) = take(&mut parts[part]).split_at_mut(shape.len());
            parts[part] = rest;
            (name, shape, values)
        })
    }

    /// In which of the four parts of [`Parameters`] each tensor lies; those of a part follow each other.
    fn places(&self) -> impl Iterator<Item = (usize, &str, Shape)> {
        let c = self.config();
        let specs = self.layout().specs().iter();
        let trained = specs.map(|spec| (0, spec.name.as_str(), spec.shape));
        let (high, latents) = c.system.state_names();
        let first = Shape::from([c.width]);
        let latents = latents.iter().map(move |&name| (2, name, first));
        let table = Shape::from([c.puzzle_identifiers, c.puzzle_emb_ndim]);
        let table = (c.puzzle_emb_ndim > 0).then_some((3, "puzzle_emb.weights", table));
        trained
            .chain([(1, high, first)])
            .chain(latents)
            .chain(table)
    }
}
