import Foundation
import Support
import Testing

/// Ranks that are killed, stopped or told to end.
@Suite(
  .serialized,
  .disabled(if: MPI.installed.isEmpty, "no MPI: apt-get install libopenmpi-dev, then make mpi"))
struct RankDeathTests {
  private let runs: RankStages

  init() throws { runs = try RankStages() }

  /// Kills and stops of one rank: the job ends soon, with one message that names it, and goes on with
  /// another number of ranks. MPICH's launcher kills the others itself, sometimes before they have spoken.
  @Test func aRankThatIsNoMoreEndsAll() throws {
    let data = try runs.map()
    let config = try runs.write(
      RankStages.configuration("gpt2", overEncoding: true, epochs: 100, checkpoints: 10), data,
      name: "kill")
    #expect(try runs.alone(config, output: "whole").status == 0)
    let expected = try runs.identity("whole")
    for mpi in MPI.installed {
      let output = "killed-\(mpi.name)"
      let checkpoint = "\(runs.directory)/\(output)/checkpoint.safetensors"
      for (ranks, victim, signal) in [
        (4, 2, SIGKILL), (2, 1, SIGKILL), (2, 0, SIGKILL), (4, 1, SIGSTOP), (8, 7, SIGKILL),
      ] {
        let before = try? FileBytes.read(checkpoint)
        let running = try runs.start(mpi, ranks: ranks, config, output: output)
        while running.process.isRunning, (try? FileBytes.read(checkpoint)) == before {
          usleep(2000)
        }
        guard let process = try runs.processes("\(runs.directory)/\(output)")[victim] else {
          // Done before it was found.
          #expect(try running.wait().status == 0, "rank \(victim) was not found")
          break
        }
        kill(process, signal)
        let start = Host.monotonicSeconds
        let result = try running.wait()
        let seconds = Host.monotonicSeconds - start
        guard result.status != 0 else { break }
        #expect(seconds < 10, "\(mpi.name) \(ranks) \(victim) \(signal)")
        let messages = result.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
        let names = { (message: Substring) in
          message.hasPrefix("error: rank \(victim) (process \(process) on ")
        }
        if mpi.name == "mpich" {
          // Of rank 0, if the launcher kills it first, rank 1 tells too.
          let isSaid =
            messages.isEmpty ? result.all.contains("EXIT STRING") : messages.contains(where: names)
          #expect(isSaid && messages.count <= 2, "\(ranks) \(victim) \(signal): \(result.all)")
        } else {
          #expect(
            messages.count == 1 && messages.allSatisfy(names),
            "\(mpi.name) \(ranks) \(victim) \(signal): \(result.all)")
        }
        #expect(!FileBytes.exists("\(runs.directory)/\(output)/index.json"))
        kill(process, SIGCONT)
      }
      let last = try runs.start(mpi, ranks: 2, config, output: output).wait()
      #expect(last.status == 0, "\(last.all)")
      #expect(try runs.identity(output) == expected)
    }
  }

  /// Stopped or killed as soon as it is what it is, or a moment later, when MPICH's launcher knows of it and no
  /// other rank has looked: MPI would wait for it, and so would its launcher.
  @Test func aRankThatIsNoMoreBeforeAllHaveMet() throws {
    let config = try runs.write(RankStages.configuration("gpt2"), runs.map(), name: "early")
    for mpi in MPI.installed {
      for (victim, signal, pause) in [
        (1, "STOP", 0), (0, "STOP", 0), (2, "KILL", 0), (1, "KILL", 0.1),
      ] {
        let begun = Host.monotonicSeconds
        let result = try Program.start(
          "\(Program.project)/tools/ranks",
          [
            "4", "/bin/sh", "-c",
            """
            if [ ${OMPI_COMM_WORLD_RANK:-$PMI_RANK} = \(victim) ]; then
              (while kill -0 $$ 2>/dev/null; do
                 case $(readlink /proc/$$/exe) in */ott-train) sleep \(pause); kill -\(signal) $$; break ;; esac
               done) &
            fi
            exec $0 --config \(config) --output early-\(mpi.name)
            """, "\(Program.directory)/ott-train",
          ], in: runs.directory, environment: ["MPIRUN": mpi.launcher]
        ).wait()
        #expect(Host.monotonicSeconds - begun < 20, "\(mpi.name) \(victim) \(signal)")
        #expect(result.status != 0, "\(result.all)")
        let messages = result.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
        // A launcher that knows of a death may end the others first, without a word.
        #expect(messages.count == 1 || signal == "KILL" && messages.isEmpty, "\(result.all)")
        // Of one that was gone before any other looked, nobody knows the process.
        let names = ["process"] + (signal == "KILL" ? ["on"] : [])
        for message in messages {
          #expect(
            names.contains { message.hasPrefix("error: rank \(victim) (\($0) ") }, "\(result.all)")
          #expect(message.contains("before the ranks have met"), "\(result.all)")
        }
      }
    }
  }

  /// SIGTERM to the launcher, as a batch system sends it.
  @Test func signalsLeaveACheckpoint() throws {
    let config = try runs.write(
      RankStages.configuration("gpt2", epochs: 150, checkpoints: 1000), runs.map(), name: "signal")
    #expect(try runs.alone(config, output: "whole").status == 0)
    for mpi in MPI.installed {
      let output = "signalled-\(mpi.name)"
      let running = try runs.start(mpi, ranks: 2, config, output: output)
      let path = "\(runs.directory)/\(output)"
      while running.process.isRunning, !FileBytes.exists("\(path)/metrics.jsonl") { usleep(2000) }
      let ranks = try runs.processes(path)
      for (_, process) in ranks.sorted(by: { $0.key < $1.key }) { kill(process, SIGTERM) }
      let result = try running.wait()
      #expect(result.status != 0, "\(result.all)")
      #expect(result.errors.contains("Run the same command again to go on"), "\(result.all)")
      #expect(result.errors.contains("error: interrupted by signal 15"), "\(result.all)")
      #expect(FileBytes.exists("\(path)/checkpoint.safetensors"))
      #expect(try runs.alone(config, output: output).status == 0)
      #expect(try runs.identity(output) == runs.identity("whole"))
    }
  }
}
