//! Names and availability of paths and precisions.

use std::num::NonZeroUsize;

use runabout_kernels::*;

#[test]
fn every_path_and_precision_has_a_name_that_parses_back() {
    for path in Path::ALL {
        assert_eq!(path.to_string().parse::<Path>().unwrap(), path);
    }
    for precision in Precision::ALL {
        assert_eq!(precision.to_string().parse::<Precision>().unwrap(), precision);
    }
    assert!("int4".parse::<Precision>().unwrap_err().to_string().contains("`int4`"));
    assert!("sse9".parse::<Path>().unwrap_err().to_string().contains("`sse9`"));
}

#[test]
fn a_path_that_the_machine_lacks_is_refused() {
    for path in Path::ALL {
        let n_threads = NonZeroUsize::new(1);
        let made = Cpu::new(CpuOptions { path: Some(path), n_threads, ..CpuOptions::default() });
        assert_eq!(made.is_ok(), path.is_available(), "{path}");
    }
    assert!(Path::Portable.is_available());
}
