//! The machines that are stepped: worker, barrier, offsets, keeper, line
