// llama.cpp through node-llama-cpp, as its users complete code with it: its own fill-in-the-middle prompt where the
// model has the tokens, plain continuation where not. JSON lines: `{prefix, suffix, max_tokens}` in,
// `{text, n_tokens}` out.
//
// Arguments: the GGUF file, threads.

import {createInterface} from "node:readline";
import {getLlama, LlamaCompletion} from "node-llama-cpp";

const answer = (it) => process.stdout.write(JSON.stringify(it) + "\n");

const llama = await getLlama({gpu: false, build: "never", logLevel: "error", maxThreads: Number(process.argv[3])});
const model = await llama.loadModel({modelPath: process.argv[2]});
const context = await model.createContext({contextSize: 4096});
const sequence = context.getSequence();
const completion = new LlamaCompletion({contextSequence: sequence});
answer({fills_in: completion.infillSupported});

for await (const line of createInterface({input: process.stdin})) {
  const {prefix, suffix, max_tokens: maxTokens} = JSON.parse(line);
  // An answer must not depend on what was asked before.
  await sequence.clearHistory();
  let nTokens = 0;
  const options = {maxTokens, temperature: 0, onToken: (tokens) => (nTokens += tokens.length)};
  const text = completion.infillSupported
    ? await completion.generateInfillCompletion(prefix, suffix, options)
    : await completion.generateCompletion(prefix, options);
  answer({text, n_tokens: nTokens});
}
process.exit(0);
