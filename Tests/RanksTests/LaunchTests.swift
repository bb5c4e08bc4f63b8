import Ranks
import Support
import Testing

@Suite struct LaunchTests {
  static let cases: [([String: String], Launch?)] = [
    ([:], nil),
    (
      ["OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3"],
      Launch("mpirun of Open MPI", 3, 4, .openMPI)
    ),
    (["PMI_SIZE": "2", "PMI_RANK": "0"], Launch("mpiexec or srun with PMI", 0, 2, .mpich)),
    // srun, with and without something that an MPI speaks.
    (
      [
        "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "7", "PMIX_RANK": "7",
      ], Launch("srun", 7, 8, .openMPI)
    ),
    (
      ["SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "7"],
      Launch("srun", 7, 8, nil)
    ),
    (
      [
        "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "7", "PMI_SIZE": "8",
        "PMI_RANK": "7",
      ], Launch("mpiexec or srun with PMI", 7, 8, .mpich)
    ),
    // mpirun within an allocation: its daemons are steps of srun, one a machine.
    (
      [
        "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1",
        "OMPI_COMM_WORLD_SIZE": "64", "OMPI_COMM_WORLD_RANK": "40",
      ], Launch("mpirun of Open MPI", 40, 64, .openMPI)
    ),
    // A script of sbatch is no step.
    (["SLURM_NTASKS": "16", "SLURM_PROCID": "0", "SLURM_JOB_ID": "5"], nil),
    (["OVERTOKEN_MPI": "none", "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3"], nil),
    // Not what a launcher writes.
    (["PMI_SIZE": "2", "PMI_RANK": "2"], nil), (["PMI_SIZE": "x", "PMI_RANK": "0"], nil),
    (["PMI_SIZE": "2"], nil), (["PMI_SIZE": "0", "PMI_RANK": "0"], nil),
  ]

  @Test(arguments: cases.indices) func theInnermostLauncherCounts(index: Int) {
    let (environment, expected) = Self.cases[index]
    #expect(Launch(environment: environment) == expected)
  }

  @Test func theLauncherChoosesTheLibrary() throws {
    let all = { (_: String) in true }
    let openMPI = Launch("mpirun of Open MPI", 0, 4, .openMPI)
    let any = Launch("srun", 0, 4, nil)
    #expect(
      try openMPI.libraryPath(in: "bin/mpi", choice: nil, exists: all) == "bin/mpi/openmpi.so")
    #expect(try openMPI.libraryPath(in: "m", choice: "cray", exists: all) == "m/cray.so")
    #expect(try openMPI.libraryPath(in: "m", choice: "/x/y.so", exists: all) == "/x/y.so")
    #expect(try any.libraryPath(in: "m", choice: "cray", exists: all) == "m/cray.so")
    let mute = #expect(throws: UserError.self) {
      try any.libraryPath(in: "m", choice: "", exists: all)
    }
    #expect(mute?.description.contains("each would believe that it is alone") == true)
    let none = { (_: String) in false }
    for (launch, choice, message) in [
      (
        openMPI, nil, "the MPI of mpirun of Open MPI: expected its library m/openmpi.so, found none"
      ),
      (
        openMPI, "cray",
        "OVERTOKEN_MPI: expected a library of tools/build-mpi: found no file m/cray.so"
      ),
    ] as [(Launch, String?, String)] {
      let error = #expect(throws: UserError.self) {
        try launch.libraryPath(in: "m", choice: choice, exists: none)
      }
      #expect(error?.description == message + ". Run: make mpi")
    }
  }

  @Test func aRankThatBelievesItIsAloneIsRefused() throws {
    let launch = Launch("srun", 2, 16, nil)
    try launch.require(size: 16, of: "MPI")
    let error = #expect(throws: UserError.self) {
      try launch.require(size: 1, of: "Open MPI 4.1.4")
    }
    #expect(
      error?.description.contains(
        "ranks: expected 16, as srun has started, found 1 by Open MPI 4.1.4. ") == true)
  }

  @Test func aLibraryThatIsNoMPIIsRefused() {
    for path in ["/nowhere/openmpi.so", "/proc/self/exe"] {
      let error = #expect(throws: UserError.self) { try MPICommunicator(library: path) }
      #expect(
        error?.description.hasPrefix("\(path): expected an MPI that can be loaded, found ") == true)
    }
  }
}
