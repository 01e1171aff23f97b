# Built by scripts/standin-cuda.mjs for the TypeScript tests: the stand-in driver, the same as an old driver, and an addon
# that plays another library in the process which uses CUDA.
{
  'target_defaults': {
    'cflags_cc!': ['-std=gnu++17', '-std=gnu++20', '-fno-rtti'],
    'cflags_cc': ['-std=c++20', '-Wall', '-Wextra', '-Wno-missing-field-initializers', '-fvisibility=hidden'],
    'include_dirs': ['.', '../../native'],
  },
  'variables': {
    'driver_sources': [
      '<!@(node -p "require(\'fs\').readdirSync(\'.\').filter(f => /\\.cc$/.test(f) && !/(_test|abi_check|other_library.*)\\.cc$/.test(f)).join(\' \')")',
    ],
  },
  'targets': [
    { 'target_name': 'standin_cuda', 'type': 'loadable_module', 'sources': ['<@(driver_sources)'] },
    {
      'target_name': 'standin_cuda_old',
      'type': 'loadable_module',
      'sources': ['<@(driver_sources)'],
      'defines': ['STANDIN_CUDA_OLD'],
    },
    {
      'target_name': 'other_library',
      'sources': ['other_library.cc', '../../native/device/cuda_driver.cc', '../../native/base/status.cc'],
      'dependencies': ["<!(node -p \"require('node-addon-api').targets\"):node_addon_api"],
      'defines': ['NAPI_VERSION=8', 'NODE_ADDON_API_DISABLE_DEPRECATED'],
    },
  ],
}
