// Tests of the built executables.
