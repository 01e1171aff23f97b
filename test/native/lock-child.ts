import { lockDirectorySync } from '../../src/native/engine.ts';

lockDirectorySync(process.argv[2]!);
console.log('locked');
setInterval(() => {}, 1000);
