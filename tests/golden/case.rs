//! One golden case: its files, and comparisons that remember what was compared.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use trm_kernels::Kernels;
use trm_model::config::{FeedForward, Mixer, PositionEncoding, System};
use trm_model::metrics::Metrics;
use trm_model::{ModelConfig, Network, Parameters};
use trm_tensor::safetensors::SafeTensorsFile;

/// A case on one instruction set.
pub struct Case {
    name: String,
    pub json: Value,
    file: SafeTensorsFile,
    compared: BTreeSet<String>,
}

/// Name and kind of a case, without its tensors.
pub fn identify(path: &Path) -> (String, String) {
    let json = parse(path);
    let text = |key: &str| json[key].as_str().map(str::to_owned);
    let name = text("case").expect("a case name");
    (name, text("kind").expect("a kind"))
}

/// What the JSON file of a case says.
pub fn parse(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

impl Case {
    pub fn load(path: &Path, isa: &str) -> Case {
        let json = parse(path);
        let name = format!("{} [{isa}]", json["case"].as_str().expect("a case name"));
        let tensors = path.with_file_name(json["safetensors"].as_str().expect("the tensors' file"));
        let file = SafeTensorsFile::open(&tensors).unwrap_or_else(|e| panic!("{e}"));
        Case {
            name,
            json,
            file,
            compared: BTreeSet::new(),
        }
    }

    /// Fails unless every output tensor of the case was compared.
    pub fn finish(self) {
        let tensors = self.json["tensors"]
            .as_object()
            .expect("the list of tensors");
        let outputs = tensors
            .iter()
            .filter(|(_, about)| about["role"] == "output");
        let left: Vec<_> = outputs
            .map(|(name, _)| name)
            .filter(|name| !self.compared.contains(*name))
            .collect();
        assert!(left.is_empty(), "{}: never compared: {left:?}", self.name);
    }

    /// A tensor of the case.
    pub fn floats(&self, tensor: &str) -> Vec<f32> {
        self.file
            .f32s(tensor)
            .unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }

    /// A tensor of small integers; -100 becomes the ignored label.
    pub fn tokens(&self, tensor: &str) -> Vec<u8> {
        self.floats(tensor)
            .iter()
            .map(|&x| if x == -100.0 { 255 } else { x as u8 })
            .collect()
    }

    /// A tensor of integers.
    pub fn numbers(&self, tensor: &str) -> Vec<u32> {
        self.floats(tensor).iter().map(|&x| x as u32).collect()
    }

    pub fn shape(&self, tensor: &str) -> Vec<usize> {
        self.file
            .shape(tensor)
            .unwrap_or_else(|e| panic!("{}: {e}", self.name))
            .dims()
            .to_vec()
    }

    /// Compares an output within the tolerances of its entry; each output once.
    pub fn compare(&mut self, tensor: &str, got: &[f32]) {
        let want = self.floats(tensor);
        let about = &self.json["tensors"][tensor];
        assert_eq!(
            about["role"], "output",
            "{}: {tensor} is no output",
            self.name
        );
        assert_eq!(got.len(), want.len(), "{}: length of {tensor}", self.name);
        let number = |key: &str| {
            about[key]
                .as_f64()
                .unwrap_or_else(|| panic!("{tensor}: no {key}"))
        };
        let (atol, rtol) = (number("atol"), number("rtol"));
        let errors: Vec<f64> = got
            .iter()
            .zip(&want)
            .map(|(&g, &w)| (f64::from(g) - f64::from(w)).abs())
            .collect();
        let within = |i: usize| errors[i] <= atol + rtol * f64::from(want[i]).abs();
        let outside: Vec<usize> = (0..want.len()).filter(|&i| !within(i)).collect();
        if about["min_fraction_within_atol"].is_null() {
            if let Some(&i) = outside.first() {
                let (n, name) = (outside.len(), &self.name);
                panic!(
                    "{name}: {tensor}[{i}] is {}, reference {} (atol {atol:e}); {n} of {} differ",
                    got[i],
                    want[i],
                    want.len()
                );
            }
        } else {
            let inside = errors.iter().filter(|&&e| e <= atol).count() as f64 / want.len() as f64;
            let least = number("min_fraction_within_atol");
            assert!(
                inside >= least,
                "{}: {tensor}: only {inside} within atol, {least} asked",
                self.name
            );
            let worst = number("max_abs_allowed");
            // `all` and not a maximum: a NaN must fail.
            assert!(
                errors.iter().all(|&e| e <= worst),
                "{}: {tensor}: an element is off by more than {worst}",
                self.name
            );
        }
        assert!(
            self.compared.insert(tensor.to_owned()),
            "{}: {tensor} compared twice",
            self.name
        );
    }

    /// Compares integers, exactly.
    pub fn compare_exact<T: Copy + Into<u64>>(&mut self, tensor: &str, got: &[T]) {
        // Labels of 255 are the fixtures' -100.
        let label = |x: u64| {
            if tensor.ends_with("labels") && x == 255 {
                -100.0
            } else {
                x as f32
            }
        };
        let got: Vec<f32> = got.iter().map(|&x| label(x.into())).collect();
        self.compare(tensor, &got);
    }

    /// Compares a scalar with the f64 run of the reference, relatively.
    pub fn compare_scalar(&self, what: &str, got: f64, want: &Value, relative: f64) {
        let want = want["f64"]
            .as_f64()
            .unwrap_or_else(|| panic!("{}: no f64 value of {what}", self.name));
        let ok = (got - want).abs() <= relative * want.abs();
        assert!(
            ok,
            "{}: {what} is {got}, reference {want} (relative {relative:e})",
            self.name
        );
    }

    /// Compares a scalar within an absolute tolerance.
    pub fn compare_absolute(&self, what: &str, got: f64, want: &Value, absolute: f64) {
        let want = want["f64"]
            .as_f64()
            .unwrap_or_else(|| panic!("{}: no f64 value of {what}", self.name));
        assert!(
            (got - want).abs() <= absolute,
            "{}: {what} is {got}, reference {want}",
            self.name
        );
    }

    pub fn usize(&self, section: &str, key: &str) -> usize {
        self.json[section][key]
            .as_u64()
            .unwrap_or_else(|| panic!("{}: {section}.{key}", self.name)) as usize
    }

    pub fn f64(&self, section: &str, key: &str) -> f64 {
        self.json[section][key]
            .as_f64()
            .unwrap_or_else(|| panic!("{}: {section}.{key}", self.name))
    }

    /// The reference's config in our words.
    pub fn config(&self) -> ModelConfig {
        let size = |key| self.usize("config", key);
        let ndim = size("puzzle_emb_ndim");
        let prefix = if size("puzzle_emb_len") > 0 {
            size("puzzle_emb_len")
        } else {
            ndim.div_ceil(size("hidden_size"))
        };
        let system = match self.json["arch"].as_str() {
            Some("hrm") => System::Hrm,
            Some("trm_singlez") => System::SingleZ,
            Some("trm_hier6") => System::MultiZ,
            Some("transformers_baseline") => System::Transformer,
            _ => System::Trm,
        };
        // The reference's transformer ignores its cycles, and what is said of the layers of z_L.
        let (once, high) = (system == System::Transformer, size("H_layers"));
        ModelConfig {
            system,
            cells: size("seq_len"),
            columns: 0,
            vocab_size: size("vocab_size"),
            symbols: 0,
            feed_forward: FeedForward::Swiglu,
            registers: false,
            init_noise: 0.0,
            puzzle_identifiers: size("num_puzzle_identifiers"),
            mixer: if self.json["config"]["mlp_t"] == true {
                Mixer::Mlp
            } else {
                Mixer::Attention
            },
            position_encoding: match self.json["config"]["pos_encodings"].as_str() {
                Some("rope") => PositionEncoding::Rope,
                Some("learned") => PositionEncoding::Learned,
                _ => PositionEncoding::None,
            },
            width: size("hidden_size"),
            heads: size("num_heads"),
            layers: if once { high } else { size("L_layers") },
            h_layers: if system == System::Hrm { high } else { 0 },
            inner: 0,
            inner_positions: 0,
            expansion: self.f64("config", "expansion"),
            prefix_len: prefix,
            puzzle_emb_ndim: ndim,
            h_cycles: if once { 1 } else { size("H_cycles") },
            l_cycles: if once { 1 } else { size("L_cycles") },
            halt_max_steps: size("halt_max_steps"),
            norm_eps: self.f64("config", "rms_norm_eps") as f32,
            rope_theta: self.f64("config", "rope_theta"),
        }
    }

    /// The network of the case with its starting values.
    pub fn network(&self, kernels: &'static Kernels) -> (Network, Parameters) {
        let net =
            Network::new(self.config(), kernels).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        let mut params = net.zeros();
        for spec in net.layout().specs() {
            let tensor = format!("param.model.inner.{}", spec.name);
            assert_eq!(
                self.shape(&tensor),
                spec.shape.dims(),
                "{}: shape of {tensor}",
                self.name
            );
            params.values[spec.at.clone()].copy_from_slice(&self.floats(&tensor));
        }
        let first = |name| self.floats(&format!("param.model.inner.{name}"));
        let (high, latents) = net.config().system.state_names();
        params.h_init.copy_from_slice(&first(high));
        let inits = params.l_init.chunks_exact_mut(net.config().width);
        for (name, init) in latents.iter().zip(inits) {
            init.copy_from_slice(&first(name));
        }
        if net.config().puzzle_emb_ndim > 0 {
            params
                .puzzle_emb
                .copy_from_slice(&self.floats("param.model.inner.puzzle_emb.weights"));
        }
        net.pack(&mut params);
        (net, params)
    }

    /// The sums of step `step`, losses within `relative` of the reference's.
    pub fn compare_metrics(&self, step: usize, m: &Metrics, relative: f64) {
        let expected = &self.json["steps"][step - 1];
        let want = &expected["metrics"];
        for (name, got) in [
            ("count", m.count),
            ("exact_accuracy", m.exact_accuracy),
            ("q_halt_accuracy", m.q_halt_accuracy),
            ("steps", m.steps),
        ] {
            self.compare_absolute(name, got, &want[name], 0.0);
        }
        self.compare_absolute("accuracy", m.accuracy, &want["accuracy"], 1e-6);
        if want["q_continue_loss"].is_object() {
            let want = &want["q_continue_loss"];
            self.compare_scalar("q_continue_loss", m.q_continue_loss, want, relative);
        }
        let loss = m.lm_loss + 0.5 * (m.q_halt_loss + m.q_continue_loss);
        self.compare_scalar("lm_loss", m.lm_loss, &want["lm_loss"], relative);
        self.compare_scalar("q_halt_loss", m.q_halt_loss, &want["q_halt_loss"], relative);
        self.compare_scalar("loss", loss, &expected["loss"], relative);
    }
}
