// Runs each case; prints {case: "ok" or what was wrong}, as JSON.
'use strict';

module.exports = async (cases) => {
  const results = {};
  for (const [name, run] of Object.entries(cases)) {
    try {
      await run();
      results[name] = 'ok';
    } catch (error) {
      results[name] = String(error.stack || error);
    }
  }
  process.stdout.write(JSON.stringify(results), () => process.exit(0));
};
