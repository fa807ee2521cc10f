// Launch options of Chromium for the tests of this folder. CHROMIUM names another program than /usr/bin/chromium.
export function launchOptions(...reachableHosts) {
  const rules = ['MAP * ~NOTFOUND', ...reachableHosts.map((host) => `EXCLUDE ${host}`)];
  return {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    chromiumSandbox: false,
    args: [
      `--host-resolver-rules=${rules.join(', ')}`,
      '--no-proxy-server',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  };
}
