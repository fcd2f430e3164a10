// Run Khronos's glTF validator on a file: node validate_gltf.mjs FOLDER_OF_GLTF_VALIDATOR ASSET.glb
// Prints the report as JSON; FOLDER is where `npm install --prefix FOLDER gltf-validator` has put the package.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";

const [folder, asset] = process.argv.slice(2);
const validator = createRequire(join(resolve(folder), "package.json"))("gltf-validator");
const report = await validator.validateBytes(new Uint8Array(readFileSync(asset)), {
  uri: asset,
  externalResourceFunction: async (uri) =>
    new Uint8Array(readFileSync(join(dirname(asset), decodeURIComponent(uri)))),
});
process.stdout.write(JSON.stringify(report, null, 1) + "\n");
